//! How values that are not netcell's own stand in JSON: numbers, texts, paths, addresses, and those of which there may be none or many.

use super::{Json, Wrong, json_text, quote};
use crate::types::tree::Value;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

json_text!(
    IpAddr = Ipv4Addr::UNSPECIFIED.into(),
    Ipv4Addr = Ipv4Addr::UNSPECIFIED,
    Ipv6Addr = Ipv6Addr::UNSPECIFIED
);

macro_rules! numbers {
    ($($type:ty),*) => {$(
        impl Json for $type {
            fn write(&self, out: &mut String) {
                let _ = write!(out, "{self}");
            }
            fn blank() -> Self {
                0
            }
            fn fill(&mut self, value: &Value) -> Result<(), Wrong> {
                *self = value.as_u64().and_then(|n| n.try_into().ok()).ok_or(Wrong(""))?;
                Ok(())
            }
        }
    )*};
}
numbers!(u8, u16, u32, u64);

impl Json for bool {
    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }

    fn blank() -> Self {
        false
    }

    fn fill(&mut self, value: &Value) -> Result<(), Wrong> {
        *self = value.as_bool().ok_or(Wrong(""))?;
        Ok(())
    }

    fn may_be_absent(&self) -> bool {
        true
    }
}

impl Json for String {
    fn write(&self, out: &mut String) {
        quote(self, out);
    }

    fn blank() -> Self {
        String::new()
    }

    fn fill(&mut self, value: &Value) -> Result<(), Wrong> {
        *self = value.as_str().ok_or(Wrong(""))?.to_owned();
        Ok(())
    }
}

/// A path that is not UTF-8 is an array of its bytes.
impl Json for PathBuf {
    fn write(&self, out: &mut String) {
        use std::os::unix::ffi::OsStrExt;
        match self.to_str() {
            Some(text) => quote(text, out),
            None => self.as_os_str().as_bytes().to_vec().write(out),
        }
    }

    fn blank() -> Self {
        PathBuf::new()
    }

    fn fill(&mut self, value: &Value) -> Result<(), Wrong> {
        use std::os::unix::ffi::OsStringExt;
        *self = match value.as_str() {
            Some(text) => text.into(),
            None => {
                let mut bytes = Vec::new();
                bytes.fill(value)?;
                std::ffi::OsString::from_vec(bytes).into()
            }
        };
        Ok(())
    }
}

impl<T: Json> Json for Box<T> {
    fn write(&self, out: &mut String) {
        (**self).write(out);
    }

    fn blank() -> Self {
        Box::new(T::blank())
    }

    fn fill(&mut self, value: &Value) -> Result<(), Wrong> {
        (**self).fill(value)
    }
}

impl<T: Json> Json for Option<T> {
    fn write(&self, out: &mut String) {
        match self {
            Some(value) => value.write(out),
            None => out.push_str("null"),
        }
    }

    fn blank() -> Self {
        None
    }

    fn fill(&mut self, value: &Value) -> Result<(), Wrong> {
        match value {
            Value::Null => Ok(()),
            value => self.insert(T::blank()).fill(value),
        }
    }

    fn may_be_absent(&self) -> bool {
        true
    }
}

impl<T: Json> Json for Vec<T> {
    fn write(&self, out: &mut String) {
        out.push('[');
        for (at, value) in self.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            value.write(out);
        }
        out.push(']');
    }

    fn blank() -> Self {
        Vec::new()
    }

    fn fill(&mut self, value: &Value) -> Result<(), Wrong> {
        for value in value.as_array().ok_or(Wrong(""))? {
            let mut one = T::blank();
            one.fill(value)?;
            self.push(one);
        }
        Ok(())
    }

    fn may_be_absent(&self) -> bool {
        true
    }
}
