//! Starting what exists: `start` and the second half of `run`; and waiting for its end.

use crate::engine::create::Ran;
use crate::engine::find;
use crate::engine::make::Made;
use crate::engine::process::{
    Attach, ChildSpec, EtcFiles, Handle, Hook, Program, Running, Spawn, Spawned, Stdin, rootfs,
    spawn,
};
use crate::engine::record::{ContainerRecord, Failure, SandboxRecord, Start};
use crate::engine::spec::{Places, Stay};
use crate::engine::store::{Intent, IntentFile, Verb};
use crate::engine::view::{Container, Status};
use crate::engine::{Engine, Run, Silence, derived, hosts, respawn, restart};
use crate::error::{Result, exit};
use crate::kernel::netns;
use crate::sys::lock::{self, Hold};
use crate::sys::{terminal, time};
use crate::types::{Id, Name};
use rustix::fd::OwnedFd;
use std::fmt;
use std::path::Path;
use std::time::Duration;

/// How long a monitor may take to write down the end of its container after PID 1 is gone.
const MONITOR: Duration = Duration::from_secs(5);

/// How long a monitor waits before it tries once more to remove its container.
const MOMENT: Duration = Duration::from_millis(50);

/// No wait of netcell's own: as long as the container runs.
const FOREVER: Duration = Duration::from_secs(u32::MAX as u64);

impl Engine {
    /// The second half of `run`: spawn, commit, release.
    pub(super) fn start_made(
        &self,
        mut made: Made,
        mut record: ContainerRecord,
        stay: Option<&Stay>,
        run: &mut Run,
    ) -> Result<Ran> {
        let attach = attachment(&record, stay);
        // What its members find in /etc is made when a sandbox gets a process, and not before.
        let etc = match made.change.sandbox() {
            Some(sandbox) => derived::write(&self.store, sandbox),
            None => Ok(()),
        };
        let spawned = etc.and_then(|()| self.spawn(&record, attach, &mut made.intent, run));
        let spawned = match spawned {
            Ok(spawned) => spawned,
            Err(error) => {
                self.unmake(made, run)?;
                return Err(error);
            }
        };
        record.start = Some(Start {
            foreground: stay.and_then(|_| respawn::this()),
            ..started(&spawned)
        });
        if let Err(error) = self.commit(&made, &record, run) {
            drop(spawned);
            self.unmake(made, run)?;
            return Err(error);
        }
        // Who wants to remove it waits until it has begun.
        let released = self.release(spawned, &mut record);
        self.finish(made);
        match released {
            Ok(running) => Ok(Ran {
                id: record.id,
                exit: match stay {
                    Some(stay) => Some(self.stay(running, &record, stay, run)?),
                    None => None,
                },
            }),
            Err(error) => {
                if record.auto_remove {
                    self.remove_exactly(&record.name, &record.id, true, run)?;
                }
                Err(error)
            }
        }
    }

    /// Starts a container that is not running, and stays with it if that is asked: then its exit code. One that is
    /// running stays as it is, as with Docker.
    pub fn start(&self, reference: &str, stay: Option<&Stay>, run: &mut Run) -> Result<Option<u8>> {
        self.start_if(reference, &|_| true, stay, run)
    }

    /// The same, if its record is as it is to be.
    pub(super) fn start_if(
        &self,
        reference: &str,
        wanted: &dyn Fn(&ContainerRecord) -> bool,
        stay: Option<&Stay>,
        run: &mut Run,
    ) -> Result<Option<u8>> {
        let (mut file, mut record) = loop {
            let locked = self.store.lock()?;
            let Container {
                record,
                status,
                sandbox,
                ..
            } = self.find_under(&locked, reference)?.container()?;
            // Its sandbox may just be made whole again.
            let names = [
                &record.name,
                record.sandbox.as_ref().unwrap_or(&record.name),
            ];
            if let Some(busy) = self.store.busy_of(&names)? {
                drop(locked);
                self.wait_for(busy, run)?;
                continue;
            }
            let running = status == Status::Running;
            if !wanted(&record) {
                return Ok(None);
            }
            if !running && record.sandbox.is_some() && sandbox.is_none() {
                return Err(self.without_sandbox(reference));
            }
            if run.dry_run {
                if !running {
                    self.say_start(&record, stay.is_none(), run);
                }
                return Ok(None);
            }
            if running {
                drop(locked);
                return match stay {
                    Some(stay) => self.attach(&record.id.to_string(), stay, run).map(Some),
                    None => Ok(None),
                };
            }
            break (self.store.begin(self.intent_to_start(&record))?, record);
        };
        let started = self.start_again(&mut file, &mut record, stay, run);
        if started.is_err() {
            self.store.drop_exit(&record.name).ok();
        }
        let released = started.and_then(|spawned| self.release(spawned, &mut record));
        self.is_over(file);
        let running = released?;
        let Some(stay) = stay else {
            return Ok(None);
        };
        // Without -i at its creation nobody types on its terminal, either.
        let stay = Stay {
            stdin: stay.stdin && record.interactive,
            ..stay.clone()
        };
        self.attend(running, &stay, run).map(Some)
    }

    fn start_again(
        &self,
        file: &mut IntentFile,
        record: &mut ContainerRecord,
        stay: Option<&Stay>,
        run: &mut Run,
    ) -> Result<Spawned> {
        if let Some(name) = &record.sandbox
            && let Some(sandbox) = self.store.read::<SandboxRecord>(name)?
        {
            derived::write(&self.store, &sandbox)?;
        }
        // Whatever becomes of it, this is the start that was waited for; one by hand begins to count anew.
        record.again = record.again.take().filter(|again| again.due.is_some());
        if let Some(again) = &mut record.again {
            again.due = None;
        }
        let spawned = self.spawn(record, attachment(record, stay), file, run)?;
        record.start = Some(started(&spawned));
        record.failure = None;
        record.generation = file.intent.generation;
        let locked = self.store.lock()?;
        self.store.name_exit(&locked, &record.name)?;
        self.store.write_container(&locked, record)?;
        Ok(spawned)
    }

    fn intent_to_start(&self, record: &ContainerRecord) -> Intent {
        let mut intent = self.intent(Verb::Start, &record.name);
        intent.container = Some(record.id);
        intent.generation = record.generation + 1;
        intent.sandbox = record.sandbox.clone();
        intent
    }

    /// Makes the monitor and the child, up to where the child waits to execute its command; the intent names it.
    fn spawn(
        &self,
        record: &ContainerRecord,
        attach: Attach,
        file: &mut IntentFile,
        run: &mut Run,
    ) -> Result<Spawned> {
        if let Some(sandbox) = &record.sandbox {
            netns::check_pin(sandbox)?;
        }
        let held = record.sandbox.as_ref();
        let held = held.and_then(|sandbox| hosts::hold(&self.store, sandbox));
        let directory = self.store.path(&format!("containers/{}", record.name));
        let how = Spawn {
            exit_file: self.store.new_exit(&record.name)?,
            log_dir: &directory,
            log_max: record.log_max,
            attach,
            hook: self.last_act(record),
            held,
            places: self.places.clone(),
        };
        let mut spawned = spawn(
            &self.child_spec(record, &directory, run.say.wants_operations()),
            how,
        )?;
        spawned.wait(run.say)?;
        file.note_process(spawned.process())?;
        Ok(spawned)
    }

    fn child_spec(&self, record: &ContainerRecord, directory: &Path, verbose: bool) -> ChildSpec {
        ChildSpec {
            program: Program {
                argv: record.command.clone(),
                env: record.env.clone(),
                cwd: record.workdir.clone(),
                user: record.user.clone(),
                hostname: record.hostname.clone(),
                terminal: record
                    .terminal
                    .then(|| terminal::size().unwrap_or_default()),
                capabilities: record.settings().capabilities(),
                new_privileges: record.settings().privileged,
                groups: record.settings().groups.clone(),
                limits: record.settings().limits.clone(),
            },
            settings: record.settings.clone(),
            image: record.image.root.clone(),
            stage: directory.to_owned(),
            hidden: vec![self.places.state.clone(), netns::DIRECTORY.into()],
            netns: record.sandbox.as_ref().map(netns::pin_path),
            etc: self.etc_files(record.sandbox.as_ref()),
            verbose,
        }
    }

    /// Says what a start would do: the mounts, in namespaces of the container's own, and the command.
    pub(super) fn say_start(&self, record: &ContainerRecord, detached: bool, run: &mut Run) {
        let directory = self.store.path(&format!("containers/{}", record.name));
        let spec = self.child_spec(record, &directory, false);
        let mut say = |line: fmt::Arguments| run.say.operation(&line);
        say(format_args!("mkdir -p {}", directory.display()));
        let inside = match &record.sandbox {
            Some(sandbox) => {
                let [hosts, hostname, resolv] = spec.etc.named().map(|(_, path)| path.display());
                let files = self.store.path(&format!("sandboxes/{sandbox}"));
                say(format_args!(
                    "mkdir -p {} && touch {hosts} {hostname} {resolv}",
                    files.display()
                ));
                format!("nsenter --net={}", netns::pin_path(sandbox).display())
            }
            None => "env".to_owned(),
        };
        let behind = if detached { " >/dev/null 2>&1 &" } else { "" };
        say(format_args!(
            "unshare --mount --uts --ipc --pid --fork {inside} sh -e <<'CONTAINER'{behind}"
        ));
        let mut steps = rootfs::plan(&spec);
        // The host's own root is not left.
        let (root, leave) = match spec.image == Path::new("/") {
            true => (spec.image, None),
            false => (directory.join("root"), steps.pop()),
        };
        for planned in &steps {
            say(format_args!("{}", said(planned)));
        }
        if record.terminal {
            let dev = root.join("dev");
            let dev = dev.display();
            say(format_args!(
                "exec 3<>{dev}/pts/ptmx; touch {dev}/console && mount --bind {dev}/pts/0 {dev}/console"
            ));
        }
        if let Some(planned) = leave {
            say(format_args!("{}", planned.step));
        }
        let words: Vec<_> = record
            .command
            .iter()
            .map(|word| format!("'{}'", word.replace('\'', r"'\''")))
            .collect();
        run.say
            .operation(&format_args!("exec {}\nCONTAINER", words.join(" ")));
    }

    /// What the members of a sandbox find in /etc; without one, the host's own.
    pub(super) fn etc_files(&self, sandbox: Option<&Name>) -> EtcFiles {
        let file = |name: &str| match sandbox {
            Some(sandbox) => self.store.path(&format!("sandboxes/{sandbox}/{name}")),
            None => Path::new("/etc").join(name),
        };
        EtcFiles {
            hosts: file("hosts"),
            hostname: file("hostname"),
            resolv: file("resolv.conf"),
        }
    }

    /// What the monitor does at the container's end: `--rm`, `--restart`.
    fn last_act(&self, record: &ContainerRecord) -> Option<Hook> {
        let (places, name, id) = (self.places.clone(), record.name.clone(), record.id);
        if record.auto_remove {
            return Some(Box::new(move |_| remove_quietly(&places, &name, &id)));
        }
        record.settings().restart?;
        Some(Box::new(move |exit| restart::after(&places, &id, exit)))
    }

    /// Lets the child execute its command; where that fails, the container is shown created, with the reason.
    fn release(&self, spawned: Spawned, record: &mut ContainerRecord) -> Result<Running> {
        spawned.release().inspect_err(|error| {
            record.failure = Some(Failure {
                code: error.exit_code().unwrap_or(exit::CANNOT_EXECUTE),
                text: error.to_string(),
            });
            // The record may have been removed meanwhile, which is as good.
            if let Ok(locked) = self.store.lock()
                && self
                    .store
                    .read::<ContainerRecord>(&record.name)
                    .is_ok_and(|now| now.is_some_and(|now| now.id == record.id))
            {
                self.store.write_container(&locked, record).ok();
            }
        })
    }

    /// Waits until a running container has ended: its exit code. `exit` is its `exit` file, opened while it ran, if it was
    /// there.
    pub(super) fn wait_for_end(&self, container: &Container, exit: Option<&OwnedFd>) -> Result<u8> {
        if let Some(exit) = exit {
            let what = format!("the end of container {}", container.record.name);
            lock::lock(exit, Hold::Shared, FOREVER, &what)?;
            if let Some(exit) = find::exit_in(exit) {
                return Ok(exit.code);
            }
        }
        // The monitor died: PID 1 may have outlived it.
        if let Some(process) = handle(container)? {
            process.wait(FOREVER);
        }
        Ok(find::LOST)
    }
}

/// Until the end is written down, what is gone counts as running: `ps` would show it, and `restart` not start it again. `exit`
/// is its `exit` file, opened while it ran.
pub(super) fn wait_for_monitor(name: &Name, exit: &OwnedFd) -> Result<()> {
    let what = format!("the end of container {name}");
    match lock::lock(exit, Hold::Shared, MONITOR, &what) {
        // It is written down; what a monitor does besides (`--rm`) may take its time.
        Err(_) if find::exit_in(exit).is_some() => Ok(()),
        waited => waited,
    }
}

/// A step of a script, with what is done where it cannot be.
fn said(planned: &rootfs::Planned) -> String {
    let step = &planned.step;
    match &planned.otherwise {
        rootfs::Otherwise::Fail => step.to_string(),
        rootfs::Otherwise::Note(_) => format!("{{ {step}; }} || true"),
        rootfs::Otherwise::Instead(_, steps) => {
            let instead: Vec<_> = steps.iter().map(said).collect();
            format!("{{ {step}; }} || {{ {}; }}", instead.join("; "))
        }
    }
}

/// Who gets a container's output, and who writes to its stdin.
fn attachment(record: &ContainerRecord, stay: Option<&Stay>) -> Attach {
    Attach {
        output: stay.is_some(),
        streams: stay.map_or([false; 2], |stay| stay.streams),
        stdin: match stay {
            _ if !record.interactive => Stdin::Null,
            Some(stay) if stay.stdin => Stdin::Fed,
            _ => Stdin::Kept,
        },
    }
}

fn started(spawned: &Spawned) -> Start {
    let process = spawned.process();
    Start {
        at: time::now(),
        pid: process.pid,
        pid_start: process.start,
        monitor: spawned.monitor(),
        foreground: None,
    }
}

/// A running container's PID 1.
pub(super) fn handle(container: &Container) -> Result<Option<Handle>> {
    let running = container.status == Status::Running;
    match container.record.start.as_ref().filter(|_| running) {
        Some(start) => Handle::open(start.process()),
        None => Ok(None),
    }
}

/// The monitor has nobody to tell an error to; what stays is removed by whoever looks at the container next.
fn remove_quietly(places: &Places, name: &Name, id: &Id) {
    let run = &mut Run {
        say: &mut Silence,
        dry_run: false,
    };
    // What runs out for a moment is there again a little later.
    for _ in 0..4 {
        let removed = Engine::open(places, run).and_then(|engine| {
            // It may have got another name since it was started.
            let now = engine.store.name_of(&id.to_string());
            let name = now.as_ref().unwrap_or(name);
            match engine.store.read::<ContainerRecord>(name)? {
                Some(record) if record.id == *id => engine.remove_exactly(name, id, true, run)?,
                _ => {}
            }
            Ok(engine.leaving())
        });
        if let Ok(leaving) = removed {
            // The engine's descriptors are closed once only: before, not again with all others.
            return leaving.see_off();
        }
        time::sleep(MOMENT);
    }
}
