//! Writing: messages and attributes into a buffer. Overflow is sticky and fails once, at the end.

use neli::consts::nl::NlmF;

/// Flags that a call site chooses; REQUEST, and ACK where one is wanted, are the batch's business.
pub mod flags {
    use neli::consts::nl::NlmF;

    /// Make it; fine if it is there.
    pub const CREATE: NlmF = NlmF::CREATE;
    /// Change or take away what is there.
    pub const NONE: NlmF = NlmF::empty();

    /// Make it; EEXIST if it is there.
    pub fn create_new() -> NlmF {
        NlmF::CREATE | NlmF::EXCL
    }

    /// Make it behind those that are there.
    pub fn append() -> NlmF {
        NlmF::CREATE | NlmF::APPEND
    }
}

/// The length of a netlink message's header.
pub(super) const HEADER: usize = 16;

/// What a sandbox's batches fit in, in bytes. A buffer for the largest batch, on the stack, would be probed page by page
/// by every function that has one: a tenth of a `create`'s time.
const USUAL: usize = 2 * 1024;

/// The most that one send carries, in bytes: some 2,000 published ports. A socket's default buffer takes 208 KiB
/// (net.core.wmem_default, netlink_sendmsg in net/netlink/af_netlink.c).
const CAPACITY: usize = 200 * 1024;

/// Messages to send in one go.
pub struct Batch {
    bytes: Vec<u8>,
    /// How many messages there are; the sequence number of the next is one more, counted from the socket's.
    count: u32,
    overflow: bool,
}

impl Default for Batch {
    fn default() -> Self {
        Batch {
            bytes: Vec::with_capacity(USUAL),
            count: 0,
            overflow: false,
        }
    }
}

impl Batch {
    /// How many messages it holds.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether something did not fit.
    pub fn overflowed(&self) -> bool {
        self.overflow
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
        self.overflow = false;
    }

    /// Adds a request that is acknowledged: its type, its family's fixed header, its attributes.
    pub fn request(
        &mut self,
        kind: u16,
        flags: NlmF,
        header: &[u8],
        attributes: impl FnOnce(&mut Attributes),
    ) {
        self.message(kind, NlmF::REQUEST | NlmF::ACK | flags, header, attributes);
    }

    /// Adds a message as it is: for dumps, and for the messages around a transaction.
    pub fn message(
        &mut self,
        kind: u16,
        flags: NlmF,
        header: &[u8],
        attributes: impl FnOnce(&mut Attributes),
    ) {
        let start = self.begin(kind, flags, header);
        attributes(&mut Attributes { batch: self });
        self.end(start);
    }

    /// A message's headers; where it begins.
    fn begin(&mut self, kind: u16, flags: NlmF, header: &[u8]) -> usize {
        let start = self.bytes.len();
        self.put(&0u32.to_ne_bytes());
        self.put(&kind.to_ne_bytes());
        self.put(&flags.bits().to_ne_bytes());
        self.put(&self.count.to_ne_bytes());
        self.put(&0u32.to_ne_bytes());
        self.put(header);
        start
    }

    /// The bytes to send, with sequence numbers from `first` on.
    pub fn finish(&mut self, first: u32) -> &[u8] {
        let mut at = 0;
        let mut sequence = first;
        while let Some(length) = self.bytes.get(at..at + 4) {
            let length = u32::from_ne_bytes([length[0], length[1], length[2], length[3]]) as usize;
            if let Some(field) = self.bytes.get_mut(at + 8..at + 12) {
                field.copy_from_slice(&sequence.to_ne_bytes());
            }
            sequence = sequence.wrapping_add(1);
            at += length.max(HEADER).next_multiple_of(4);
        }
        &self.bytes
    }

    /// Takes the acknowledgement back from all messages but the one before the last: in a transaction the END message
    /// is acknowledged only by newer kernels, and the last one inside stands for all.
    pub(super) fn ack_only(&mut self, wanted: u32) {
        let (mut at, mut index) = (0, 0);
        while let Some(head) = self.bytes.get_mut(at..at + HEADER) {
            let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let mut flags = u16::from_ne_bytes([head[6], head[7]]);
            flags &= !NlmF::ACK.bits();
            if index == wanted {
                flags |= NlmF::ACK.bits();
            }
            head[6..8].copy_from_slice(&flags.to_ne_bytes());
            index += 1;
            at += length.max(HEADER).next_multiple_of(4);
        }
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn set_sequences(&mut self, sequence: u32) {
        self.finish(sequence);
        for at in [8, 8 + HEADER + 20] {
            if let Some(field) = self.bytes.get_mut(at..at + 4) {
                field.copy_from_slice(&sequence.to_ne_bytes());
            }
        }
    }

    #[cfg(any(test, fuzzing))]
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn put(&mut self, bytes: &[u8]) {
        self.overflow |= self.bytes.len() + bytes.len() > CAPACITY;
        if !self.overflow {
            self.bytes.extend_from_slice(bytes);
        }
    }

    fn pad(&mut self) {
        let padding = self.bytes.len().next_multiple_of(4) - self.bytes.len();
        self.put(&[0; 4][..padding]);
    }

    /// Puts its length into the message that begins there.
    fn end(&mut self, start: usize) {
        let length = (self.bytes.len() - start) as u32;
        if let Some(field) = self.bytes.get_mut(start..start + 4) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
        self.count += 1;
    }
}

/// Writes attributes. The width and byte order of a value stand in the method's name; without `be` it is the host's.
pub struct Attributes<'a> {
    batch: &'a mut Batch,
}

impl Attributes<'_> {
    fn head(&mut self, kind: u16, length: usize) {
        let length = self.length(4 + length);
        self.batch.put(&length.to_ne_bytes());
        self.batch.put(&kind.to_ne_bytes());
    }

    /// An attribute's length, which its header has 16 bits for.
    fn length(&mut self, length: usize) -> u16 {
        self.batch.overflow |= length > usize::from(u16::MAX);
        length as u16
    }

    /// Bytes as they are.
    pub fn bytes(&mut self, kind: u16, value: &[u8]) {
        self.head(kind, value.len());
        self.batch.put(value);
        self.batch.pad();
    }

    /// Text with the NUL that the kernel's names end with.
    pub fn str(&mut self, kind: u16, value: &str) {
        self.head(kind, value.len() + 1);
        self.batch.put(value.as_bytes());
        self.batch.put(&[0]);
        self.batch.pad();
    }

    /// One byte.
    pub fn u8(&mut self, kind: u16, value: u8) {
        self.bytes(kind, &[value]);
    }

    /// 32 bits in the host's order.
    pub fn u32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_ne_bytes());
    }

    /// 16 bits, big-endian.
    pub fn be16(&mut self, kind: u16, value: u16) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// 32 bits, big-endian.
    pub fn be32(&mut self, kind: u16, value: u32) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// 64 bits, big-endian.
    pub fn be64(&mut self, kind: u16, value: u64) {
        self.bytes(kind, &value.to_be_bytes());
    }

    /// Attributes within an attribute (NLA_F_NESTED).
    pub fn nest(&mut self, kind: u16, inner: impl FnOnce(&mut Attributes)) {
        self.nest_behind(kind, &[], inner);
    }

    /// A fixed header and attributes within an attribute, as VETH_INFO_PEER has it.
    pub fn nest_behind(&mut self, kind: u16, header: &[u8], inner: impl FnOnce(&mut Attributes)) {
        let start = self.begin(kind, header);
        inner(self);
        self.end(start);
    }

    /// The headers of attributes within one; where it begins.
    fn begin(&mut self, kind: u16, header: &[u8]) -> usize {
        const NESTED: u16 = 1 << 15;
        let start = self.batch.bytes.len();
        self.batch.put(&0u16.to_ne_bytes());
        self.batch.put(&(kind | NESTED).to_ne_bytes());
        self.batch.put(header);
        start
    }

    /// Puts its length into the attribute that begins there.
    fn end(&mut self, start: usize) {
        let length = self.length(self.batch.bytes.len() - start);
        if let Some(field) = self.batch.bytes.get_mut(start..start + 2) {
            field.copy_from_slice(&length.to_ne_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nests_lengths_and_padding_are_the_kernels() {
        let mut batch = Batch::default();
        batch.request(16, flags::create_new(), &[0; 16], |a| {
            a.str(3, "br0");
            a.nest(18, |a| a.str(1, "bridge"));
        });
        let bytes = batch.finish(7);
        // ip link add br0 type bridge: 16 of header, 16 of ifinfomsg, 8 for "br0", 4 + 12 for the nest.
        assert_eq!(bytes.len(), 56);
        assert_eq!(
            u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            56
        );
        assert_eq!(
            u32::from_ne_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
            7
        );
        assert_eq!(&bytes[36..40], b"br0\0");
        assert_eq!(u16::from_ne_bytes([bytes[40], bytes[41]]), 16);
        assert_eq!(u16::from_ne_bytes([bytes[42], bytes[43]]), 18 | 1 << 15);
        assert_eq!(&bytes[48..55], b"bridge\0");
    }

    #[test]
    fn an_attribute_longer_than_its_length_can_say_is_an_overflow() {
        let mut batch = Batch::default();
        batch.request(16, flags::CREATE, &[0; 16], |a| {
            a.nest(1, |a| (0..1100).for_each(|_| a.bytes(1, &[0; 60])));
        });
        assert!(batch.overflowed());
    }

    #[test]
    fn overflow_is_said_once_at_the_end() {
        let mut batch = Batch::default();
        for _ in 0..=CAPACITY / 40 {
            batch.request(16, flags::CREATE, &[0; 16], |a| a.str(3, "br0"));
        }
        assert!(batch.overflowed());
        batch.clear();
        assert!(!batch.overflowed());
    }
}
