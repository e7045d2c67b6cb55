//! The contenders: one file each.

mod async_broadcast;
mod bus;
mod callbacks;
mod crossbeam;
mod disruptor;
mod fan_out;
mod flume;
#[cfg(feature = "iceoryx")]
mod iceoryx2;
#[cfg(feature = "actors")]
mod kameo;
mod kanal;
#[cfg(feature = "actors")]
mod ractor;
mod stasis;
mod std_mpsc;
mod tasks;
mod threads;
mod tokio_broadcast;
mod tokio_mpsc;

use crate::peer::Peer;

#[cfg(feature = "actors")]
const ACTORS: [&[&dyn Peer]; 2] = [kameo::PEERS, ractor::PEERS];
#[cfg(not(feature = "actors"))]
const ACTORS: [&[&dyn Peer]; 0] = [];

#[cfg(feature = "iceoryx")]
const SHARED: [&[&dyn Peer]; 1] = [iceoryx2::PEERS];
#[cfg(not(feature = "iceoryx"))]
const SHARED: [&[&dyn Peer]; 0] = [];

/// All there are: ours first, then in the order of the tables.
pub(crate) fn all() -> impl Iterator<Item = &'static dyn Peer> {
    let files: [&[&'static dyn Peer]; 11] = [
        stasis::PEERS,
        crossbeam::PEERS,
        flume::PEERS,
        kanal::PEERS,
        std_mpsc::PEERS,
        tokio_mpsc::PEERS,
        tokio_broadcast::PEERS,
        async_broadcast::PEERS,
        bus::PEERS,
        disruptor::PEERS,
        callbacks::PEERS,
    ];
    let files = files.into_iter().chain(ACTORS).chain(SHARED);
    files.flatten().copied()
}
