//! Ids for requests that bring none.

use std::cell::Cell;
use std::io;

use nexus_guest::RequestId;

/// Gives out ids: unique for sure within the thread, not secret, and without a system call.
pub(crate) struct RequestIds(Cell<u128>);

impl RequestIds {
    /// Ids that begin anywhere.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(crate) fn new() -> io::Result<Self> {
        let mut seed = [0; 16];
        rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())?;
        Ok(Self(Cell::new(u128::from_ne_bytes(seed))))
    }

    /// The next one.
    pub(crate) fn next(&self) -> RequestId {
        // A linear congruential generator with 128 bits of state, output by its upper half twice.
        const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;
        const INCREMENT: u128 = 0x5851_f42d_4c95_7f2d_1405_7b7e_f767_814f;
        let next = self.0.get().wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
        self.0.set(next);
        RequestId::from_u128(next ^ (next >> 64))
    }
}
