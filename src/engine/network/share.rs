//! Making what a network's sandboxes share, where it is missing, and saying what of it concerns the host.

use crate::engine::plan::Plan;
use crate::engine::record::NetworkRecord;
use crate::engine::{Engine, Run, execute, firewall};
use crate::error::{Errno, Result};
use crate::kernel::guard::AddGuard;
use crate::kernel::uapi::nf_tables::NFPROTO_BRIDGE;
use crate::kernel::{Op, foreign, sysctl};

impl Engine {
    /// Makes what a network's sandboxes share where it is missing: bridge, address, rules, forwarding.
    pub(in crate::engine) fn ensure(&self, record: &NetworkRecord, run: &mut Run) -> Result<()> {
        let plan = self.shared(record)?;
        self.make_shared(record, &plan, run)?;
        if !plan.is_empty() {
            let mut drops = Vec::new();
            self.add_who_drops(record, &mut drops)?;
            drops.iter().for_each(|sentence| run.say.note(sentence));
        }
        self.mend_on(record, run)
    }

    /// Makes what is missing of a network's shared objects, says what of it concerns the host, and notes that forwarding
    /// is netcell's doing. Who drops what is forwarded is said by the caller, who may have several networks.
    pub(in crate::engine) fn make_shared(
        &self,
        record: &NetworkRecord,
        plan: &Plan,
        run: &mut Run,
    ) -> Result<()> {
        if plan.is_empty() {
            return Ok(());
        }
        let turned_on: Vec<_> = plan
            .operations()
            .filter_map(|op| match op {
                Op::Sysctl(set) => set.is_forwarding(),
                _ => None,
            })
            .collect();
        for key in &turned_on {
            self.store.note_forwarding(key)?;
        }
        self.execute(plan, run)?;
        if record.subnet(true).is_some() && !record.internal && sysctl::is_sealed() {
            run.say.note(&format_args!(
                "/proc/sys is mounted read-only, so that net.ipv4.conf.{}.route_localnet stays off: this host does not reach published ports at 127.0.0.1, only at its other addresses",
                record.link
            ));
        }
        for key in turned_on {
            run.say.note(&format_args!(
                "turned on {}, which published ports and outgoing traffic need; what neither enters nor leaves by a netcell link is still not forwarded",
                key.replace('/', ".")
            ));
        }
        Ok(())
    }

    /// Which chains of others drop what sandboxes send and get, and what lets it pass: a sentence each, with the commands
    /// on lines below it. A firewall may have come after the networks, so this asks the kernel: not in the set-up path.
    ///
    /// # Errors
    /// What the kernel says to whoever may not list chains.
    pub fn who_drops(&self) -> Result<Vec<String>> {
        let mut drops = Vec::new();
        // A record that cannot be read is said by whoever needs it.
        for record in self.store.read_all::<NetworkRecord>(&mut |_| {})? {
            self.add_who_drops(&record, &mut drops)?;
        }
        Ok(drops)
    }

    /// The same of one network; what has been said of another one is not said twice.
    fn add_who_drops(&self, record: &NetworkRecord, drops: &mut Vec<String>) -> Result<()> {
        if record.internal {
            return Ok(());
        }
        let ipv6 = record.subnets.iter().any(|part| part.subnet.addr.is_ipv6());
        for chain in foreign::chains_that_drop(&mut self.sockets(), &record.link, ipv6)? {
            let sentence = firewall::way_through(&chain, &record.link);
            if !drops.contains(&sentence) {
                drops.push(sentence);
            }
        }
        Ok(())
    }

    /// Whether the kernel still has what the network's sandboxes share; asks for two objects only.
    pub(in crate::engine) fn is_there(&self, record: &NetworkRecord) -> Result<bool> {
        let mut sockets = self.sockets();
        Ok(sockets.has_link(&record.link)? && sockets.has_network(&record.link)?)
    }

    /// Makes the guard of bridges' ports where it is missing; true where the kernel cannot have it, which is said.
    pub(super) fn guard(&self, run: &mut Run) -> Result<bool> {
        let sockets = &mut self.sockets();
        if sockets.has_table(NFPROTO_BRIDGE)? {
            return Ok(false);
        }
        match execute::execute(&Plan::of(AddGuard), sockets, run.say) {
            // Another network's creation was quicker.
            Err(error) if error.is(Errno::EXIST) => Ok(false),
            Err(error)
                if [Errno::OPNOTSUPP, Errno::AFNOSUPPORT, Errno::NOENT]
                    .iter()
                    .any(|e| error.is(*e)) =>
            {
                run.say.note(&"this kernel lacks CONFIG_NF_TABLES_BRIDGE or CONFIG_NFT_BRIDGE_META: nothing keeps a sandbox from sending from a neighbour's address; router advertisements are ruled out by each sandbox's own settings");
                Ok(true)
            }
            made => made.map(|()| false),
        }
    }
}
