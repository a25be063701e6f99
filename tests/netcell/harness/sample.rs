//! Which points of a sweep are tried: all of them when asked, else each so many-th, others in every run.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// Each `stride`-th point from `offset` on.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    stride: usize,
    offset: usize,
}

impl Sample {
    /// What `NETCELL_SWEEP` says: `all`, or `STRIDE+OFFSET`, which repeats an earlier sample. Without it a sample of one
    /// in `usual`, which begins elsewhere each time.
    #[track_caller]
    pub fn of_one_in(usual: usize) -> Self {
        let text = std::env::var("NETCELL_SWEEP").unwrap_or_default();
        let parts = text
            .split_once('+')
            .map(|(stride, offset)| (stride.parse(), offset.parse()));
        match (text.as_str(), parts) {
            ("all", _) => Sample {
                stride: 1,
                offset: 0,
            },
            ("", _) => {
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                // A prime: in times of whole minutes, too, each offset comes as often as the others.
                let seed = now.as_secs() as usize % 65_521;
                Sample {
                    stride: usual,
                    offset: seed % usual,
                }
            }
            (_, Some((Ok(stride), Ok(offset)))) if stride > 0 => Sample { stride, offset },
            _ => panic!("NETCELL_SWEEP is {text}: it is all, or a stride and an offset, as 29+7"),
        }
    }

    /// Whether everything is asked for.
    pub fn is_all(self) -> bool {
        self.stride == 1
    }

    /// The chosen ones.
    pub fn of<T>(self, points: Vec<T>) -> Vec<T> {
        points
            .into_iter()
            .skip(self.offset % self.stride)
            .step_by(self.stride)
            .collect()
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str("all of them");
        }
        let (stride, offset) = (self.stride, self.offset % self.stride);
        write!(
            f,
            "one in {stride}, again with NETCELL_SWEEP={stride}+{offset}"
        )
    }
}
