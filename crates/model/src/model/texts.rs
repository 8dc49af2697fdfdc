//! Short texts side by side, each found by a small number.
//!
//! A fact whose place in the order of events depends on the id of its event has to hold that id. As an allocation of its own
//! it would take twice the bytes it has, so all of them share pages, cut into grains of four bytes. The grains of a text that is
//! no longer needed are used again by the next one that takes as many.

/// Bytes of a grain.
const GRAIN: usize = 4;
/// Grains of a page; the low 16 bits of a number.
const PAGE: usize = 1 << 16;
/// In place of the length: the text is longer, and has a page to itself.
const LONG: u16 = u16::MAX;

/// A text that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TextRef(u32);

/// See the module.
#[derive(Debug, Clone, Default)]
pub(super) struct Texts {
    pages: Vec<Vec<u8>>,
    /// The page that is being filled.
    filling: Option<usize>,
    /// By how many grains they have.
    free: Vec<Vec<TextRef>>,
}

fn grains(length: usize) -> usize {
    (2 + length).div_ceil(GRAIN)
}

impl Texts {
    /// Keeps a text.
    pub(super) fn insert(&mut self, text: &str) -> TextRef {
        let Some(length) = u16::try_from(text.len()).ok().filter(|length| *length != LONG) else {
            let mut page = LONG.to_le_bytes().to_vec();
            page.extend_from_slice(text.as_bytes());
            return self.add_page(page);
        };
        let wanted = grains(text.len());
        let used_before = self.free.get_mut(wanted).and_then(Vec::pop);
        let place = used_before.unwrap_or_else(|| self.fresh(wanted));
        let (page, offset) = split(place);
        let bytes = &mut self.pages[page][offset..offset + wanted * GRAIN];
        bytes[..2].copy_from_slice(&length.to_le_bytes());
        bytes[2..2 + text.len()].copy_from_slice(text.as_bytes());
        place
    }

    /// Grains that nobody has used.
    fn fresh(&mut self, wanted: usize) -> TextRef {
        let page = match self.filling {
            Some(page) if self.pages[page].len() + wanted * GRAIN <= PAGE * GRAIN => page,
            _ => {
                let page = split(self.add_page(Vec::new())).0;
                self.filling = Some(page);
                page
            }
        };
        let bytes = &mut self.pages[page];
        let offset = bytes.len();
        bytes.resize(offset + wanted * GRAIN, 0);
        TextRef((page * PAGE + offset / GRAIN) as u32)
    }

    fn add_page(&mut self, page: Vec<u8>) -> TextRef {
        self.pages.push(page);
        TextRef(((self.pages.len() - 1) * PAGE) as u32)
    }

    /// The text.
    pub(super) fn get(&self, place: TextRef) -> &str {
        // They came as texts.
        std::str::from_utf8(self.bytes(place)).unwrap_or_default()
    }

    /// The text as bytes, whose order is that of texts.
    pub(super) fn bytes(&self, place: TextRef) -> &[u8] {
        let (page, offset) = split(place);
        let bytes = &self.pages[page][offset..];
        match u16::from_le_bytes([bytes[0], bytes[1]]) {
            LONG => &bytes[2..],
            length => &bytes[2..2 + usize::from(length)],
        }
    }

    /// Gives its room to others.
    pub(super) fn remove(&mut self, place: TextRef) {
        let (page, offset) = split(place);
        let bytes = &self.pages[page][offset..];
        if u16::from_le_bytes([bytes[0], bytes[1]]) == LONG {
            self.pages[page] = Vec::new();
            return;
        }
        let grains = grains(self.bytes(place).len());
        if self.free.len() <= grains {
            self.free.resize_with(grains + 1, Vec::new);
        }
        self.free[grains].push(place);
    }
}

fn split(place: TextRef) -> (usize, usize) {
    (place.0 as usize / PAGE, place.0 as usize % PAGE * GRAIN)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_text_stays_what_it_is(steps in prop::collection::vec((any::<bool>(), 0..60_usize, 0..70_000_usize), 0..200)) {
            let mut texts = Texts::default();
            let mut kept: Vec<(TextRef, String)> = Vec::new();
            for (number, (insert, short, long)) in steps.into_iter().enumerate() {
                if insert || kept.is_empty() {
                    let length = if number % 20 == 0 { long } else { short };
                    let text: String = "äb".chars().cycle().skip(number % 2).take(length).collect();
                    kept.push((texts.insert(&text), text));
                } else {
                    let (place, text) = kept.swap_remove(long % kept.len());
                    prop_assert_eq!(texts.get(place), text);
                    texts.remove(place);
                }
            }
            for (place, text) in kept {
                prop_assert_eq!(texts.get(place), text);
            }
        }
    }

    #[test]
    fn room_is_used_again() {
        let mut texts = Texts::default();
        let first = texts.insert("0123456789");
        texts.remove(first);
        assert_eq!(texts.insert("abcdefghij"), first);
        assert_ne!(texts.insert("abcdefghij"), first);
    }
}
