//! The form that [`super::encoding`] writes and [`super::decoding`] reads.

/// What is in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Traces = 1,
    /// Of form 1: successful ones, without a team and an artifact.
    Deploys,
    Changes,
    Starts,
    Interactions,
    Surveys,
    TeamLives,
    ServiceLives,
    CapabilityLives,
    Teams,
    Services,
    Capabilities,
    Persons,
    Environments,
    Sources,
    End,
    Deployments,
    Brought,
    Milestones,
    Notices,
    Links,
    Samples,
    Words,
}

/// Bytes before the payload of a block: its kind, the length of the payload and the checksum of all three, little-endian.
pub const HEADER: usize = 9;

/// Payloads are shorter: a set of facts that alone fills more does not come together.
const LONGEST: u32 = u32::MAX;

impl Kind {
    /// In the order in which they are written: what names stand for comes last, so that no fact names what is not there.
    pub(super) const WRITTEN: [Self; 22] = [
        Self::Traces,
        Self::Deployments,
        Self::Changes,
        Self::Brought,
        Self::Milestones,
        Self::Notices,
        Self::Links,
        Self::Samples,
        Self::Starts,
        Self::Interactions,
        Self::Surveys,
        Self::TeamLives,
        Self::ServiceLives,
        Self::CapabilityLives,
        Self::Teams,
        Self::Services,
        Self::Capabilities,
        Self::Persons,
        Self::Environments,
        Self::Sources,
        Self::Words,
        Self::End,
    ];

    /// The kind of this number, also one that is written no longer.
    fn of(number: u8) -> Option<Self> {
        let mut known = Self::WRITTEN.into_iter().chain([Self::Deploys]);
        known.find(|known| *known as u8 == number)
    }

    pub(super) fn is_names(self) -> bool {
        matches!(
            self,
            Self::Teams
                | Self::Services
                | Self::Capabilities
                | Self::Persons
                | Self::Environments
                | Self::Sources
                | Self::Words
        )
    }

    pub(super) fn block(self, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap_or(LONGEST);
        let mut block = Vec::with_capacity(HEADER + payload.len());
        block.push(self as u8);
        block.extend_from_slice(&length.to_le_bytes());
        block.extend_from_slice(&checksum(self as u8, length, payload).to_le_bytes());
        block.extend_from_slice(payload);
        block
    }
}

fn checksum(kind: u8, length: u32, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(&length.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// Why bytes are no encoded Model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Cut off, mixed up or changed.
    #[error("it is not as it was written")]
    Damaged,
    /// A kind of block that this version does not know.
    #[error("it was written by another version")]
    Unknown,
}

/// The beginning of a block, by which the whole can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockHeader {
    pub(super) kind: Kind,
    length: u32,
    checksum: u32,
}

impl BlockHeader {
    /// Reads it.
    pub fn read(bytes: &[u8; HEADER]) -> Result<Self, DecodeError> {
        let [kind, numbers @ ..] = bytes;
        let known = Kind::of(*kind).ok_or(DecodeError::Unknown)?;
        let (length, checksum) = numbers.split_first_chunk().ok_or(DecodeError::Damaged)?;
        let checksum = checksum.first_chunk().ok_or(DecodeError::Damaged)?;
        Ok(Self { kind: known, length: u32::from_le_bytes(*length), checksum: u32::from_le_bytes(*checksum) })
    }

    /// Bytes of the payload, which comes next.
    pub fn length(&self) -> usize {
        self.length as usize
    }

    /// Whether it holds names. Those are decoded first; see [`super::decoding::Decoder`].
    pub fn is_names(&self) -> bool {
        self.kind.is_names()
    }

    /// Whether it is the last one.
    pub fn is_end(&self) -> bool {
        self.kind == Kind::End
    }

    pub(super) fn check(&self, payload: &[u8]) -> Result<(), DecodeError> {
        let same = payload.len() == self.length()
            && checksum(self.kind as u8, self.length, payload) == self.checksum;
        if same { Ok(()) } else { Err(DecodeError::Damaged) }
    }
}
