//! The headers of one head, as places in its bytes.

use crate::connection::ConnectionOptions;
use crate::emit::push_field;
use crate::field::{has_token, Field};
use crate::lines::Place;

/// Memory for the headers of one head. Keep it: it is used again for the next head.
#[derive(Debug, Default)]
pub struct HeaderSpace(pub(crate) Vec<Place>);

/// Places kept for the next head; one with more costs an allocation.
const KEPT_MAX: usize = 64;

impl HeaderSpace {
    /// The places, emptied.
    pub(crate) fn renew(&mut self) -> &mut Vec<Place> {
        self.0.clear();
        self.0.shrink_to(KEPT_MAX);
        &mut self.0
    }
}

/// Memory for the headers of one head.
#[must_use]
pub fn header_space() -> HeaderSpace {
    HeaderSpace::default()
}

/// One header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'b> {
    /// Its name, as sent.
    pub name: &'b str,
    /// Its value, without the white space around it.
    pub value: &'b [u8],
}

/// The headers of one head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Headers<'h, 'b> {
    pub bytes: &'b [u8],
    pub places: &'h [Place],
}

impl<'h, 'b> Headers<'h, 'b> {
    pub fn value(&self, place: &Place) -> &'b [u8] {
        &self.bytes[place.value..place.end]
    }

    fn name(&self, place: &Place) -> &'b str {
        // Names are tokens, and so text.
        std::str::from_utf8(&self.bytes[place.start..place.colon]).unwrap_or_default()
    }

    /// Headers that go on to the next hop: those about this connection and its framing are left out.
    pub fn forwarded(
        self,
        options: ConnectionOptions,
    ) -> impl Iterator<Item = (Field, Header<'b>)> + 'h
    where
        'b: 'h,
    {
        let goes_on = move |place: &&Place| self.goes_on(place, options);
        self.places.iter().filter(goes_on).map(move |place| {
            let (name, value) = (self.name(place), self.value(place));
            (place.field, Header { name, value })
        })
    }

    fn goes_on(&self, place: &Place, options: ConnectionOptions) -> bool {
        match place.field {
            Field::Connection
            | Field::ContentLength
            | Field::HopByHop
            | Field::TransferEncoding
            | Field::Expect
            | Field::Upgrade => false,
            // Routing depends on Host, and functions on the others: a client may not have them taken away.
            Field::Host | Field::ForwardedFor | Field::ForwardedHost | Field::CallId => true,
            _ => options.listed == 0 || !self.is_listed(self.name(place)),
        }
    }

    fn is_listed(&self, name: &str) -> bool {
        self.places
            .iter()
            .filter(|place| place.field == Field::Connection)
            .any(|place| has_token(self.value(place), name.as_bytes()))
    }

    /// Appends the headers that go on and that `keep` wants. `first` bytes of the head, whole lines, come before
    /// them. Lines that stand as they should are copied together.
    pub fn copy(
        &self,
        out: &mut Vec<u8>,
        options: ConnectionOptions,
        first: usize,
        keep: impl Fn(Field) -> bool,
    ) {
        let mut run = 0..first;
        for place in self.places {
            if !keep(place.field) || !self.goes_on(place, options) {
                continue;
            }
            let line = place.start..place.end + 2;
            if place.plain && line.start == run.end {
                run.end = line.end;
                continue;
            }
            out.extend_from_slice(&self.bytes[run]);
            run = if place.plain {
                line
            } else {
                push_field(out, self.name(place), self.value(place));
                0..0
            };
        }
        out.extend_from_slice(&self.bytes[run]);
    }
}
