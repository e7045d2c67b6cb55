//! Captures: pcap files of what a SIP address received.
//!
//! Reading takes Ethernet, Linux cooked and raw IP captures and leaves out what is not UDP; writing
//! makes raw IP ones with nanosecond timestamps. Both sit on `pcap-file` and `etherparse`.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};
use pcap_file::pcap::{PcapHeader, PcapPacket, PcapReader, PcapWriter};
use pcap_file::{DataLink, PcapError, TsResolution};
use sha2::{Digest, Sha256};

use crate::failure::Failure;
use crate::snapshot::Moment;

/// Larger captures are refused: a capture is held in memory.
const MAX_CAPTURE_BYTES: u64 = 1 << 30;

/// A capture in memory.
#[derive(Debug)]
pub(crate) struct Capture {
    /// The datagrams, in order.
    pub(crate) packets: Vec<Datagram>,
    /// Packets that are not UDP.
    pub(crate) skipped: u64,
    /// The length of the file.
    pub(crate) bytes: u64,
    /// The SHA-256 of the file, in hexadecimal.
    pub(crate) sha256: String,
}

/// A UDP datagram of a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    /// When it was received.
    pub(crate) at: Moment,
    /// Who sent it.
    pub(crate) source: SocketAddr,
    /// To whom.
    pub(crate) destination: SocketAddr,
    /// What it says.
    pub(crate) payload: Vec<u8>,
}

impl Capture {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Capture, Failure> {
        let file = File::open(path).map_err(|error| Failure::file(path, error))?;
        let mut file_bytes = Vec::new();
        file.take(MAX_CAPTURE_BYTES + 1)
            .read_to_end(&mut file_bytes)
            .map_err(|error| Failure::file(path, error))?;
        if file_bytes.len() as u64 > MAX_CAPTURE_BYTES {
            return Err(Failure::file(
                path,
                "a capture of more than 1 GiB is not read",
            ));
        }
        Capture::parse(&file_bytes).map_err(|what| Failure::file(path, what))
    }

    fn parse(file: &[u8]) -> Result<Capture, String> {
        let mut reader = PcapReader::new(file).map_err(|error| match error {
            PcapError::IoError(_) => "not a pcap file: shorter than a header".to_owned(),
            error => format!("not a pcap file: {error}"),
        })?;
        let link = reader.header().datalink;
        let slice = slicer(link).ok_or_else(|| format!("captures of {link:?} are not read"))?;
        let (mut packets, mut skipped) = (Vec::new(), 0);
        while let Some(packet) = reader.next_packet() {
            let number = packets.len() as u64 + skipped + 1;
            let packet = packet.map_err(|error| match error {
                PcapError::IoError(_) => format!("cut off or corrupt inside packet {number}"),
                error => format!("corrupt at packet {number}: {error}"),
            })?;
            match slice(&packet.data).and_then(|sliced| datagram(packet.timestamp, &sliced)) {
                Some(datagram) => packets.push(datagram),
                None => skipped += 1,
            }
        }
        if packets.is_empty() {
            return Err("no UDP packet in this capture".to_owned());
        }
        let sha256 = Sha256::digest(file)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Ok(Capture {
            packets,
            skipped,
            bytes: file.len() as u64,
            sha256,
        })
    }

    /// From the first packet to the last. Never negative: time does not go back in a replay.
    pub(crate) fn length(&self) -> Moment {
        let first = self
            .packets
            .first()
            .map_or(Moment::ZERO, |packet| packet.at);
        let last = self
            .packets
            .iter()
            .map(|packet| packet.at)
            .max()
            .unwrap_or(first);
        last.saturating_sub(first)
    }

    /// The address that the first packet was sent to.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.packets.first().map(|packet| packet.destination)
    }
}

type Slicer = for<'a> fn(&'a [u8]) -> Option<SlicedPacket<'a>>;

/// What takes the headers of this kind of link apart.
fn slicer(link: DataLink) -> Option<Slicer> {
    Some(match link {
        DataLink::RAW | DataLink::IPV4 | DataLink::IPV6 => |data| SlicedPacket::from_ip(data).ok(),
        DataLink::ETHERNET => |data| SlicedPacket::from_ethernet(data).ok(),
        DataLink::LINUX_SLL => |data| SlicedPacket::from_linux_sll(data).ok(),
        _ => return None,
    })
}

fn datagram(at: Moment, sliced: &SlicedPacket<'_>) -> Option<Datagram> {
    let (source, destination): (IpAddr, IpAddr) = match sliced.net.as_ref()? {
        NetSlice::Ipv4(ip) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        NetSlice::Ipv6(ip) => (
            ip.header().source_addr().into(),
            ip.header().destination_addr().into(),
        ),
        NetSlice::Arp(_) => return None,
    };
    let Some(TransportSlice::Udp(udp)) = &sliced.transport else {
        return None;
    };
    Some(Datagram {
        at,
        source: SocketAddr::new(source, udp.source_port()),
        destination: SocketAddr::new(destination, udp.destination_port()),
        payload: udp.payload().to_vec(),
    })
}

/// Writes a capture.
pub(crate) struct Recorder {
    path: PathBuf,
    writer: PcapWriter<BufWriter<File>>,
}

impl Recorder {
    /// Begins a file.
    pub(crate) fn create(path: &Path) -> Result<Recorder, Failure> {
        let file = File::create(path).map_err(|error| Failure::file(path, error))?;
        let header = PcapHeader {
            datalink: DataLink::RAW,
            ts_resolution: TsResolution::NanoSecond,
            ..PcapHeader::default()
        };
        let writer = PcapWriter::with_header(BufWriter::new(file), header)
            .map_err(|error| Failure::file(path, error))?;
        Ok(Recorder {
            path: path.to_owned(),
            writer,
        })
    }

    /// Adds a datagram.
    pub(crate) fn write(&mut self, datagram: &Datagram) -> Result<(), Failure> {
        let Datagram {
            at,
            source,
            destination,
            payload,
        } = datagram;
        let builder = match (source.ip(), destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                PacketBuilder::ipv4(from.octets(), to.octets(), 64)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                PacketBuilder::ipv6(from.octets(), to.octets(), 64)
            }
            _ => {
                return Err(Failure::file(
                    &self.path,
                    "a datagram between IPv4 and IPv6",
                ));
            }
        };
        let builder = builder.udp(source.port(), destination.port());
        let mut data = Vec::with_capacity(builder.size(payload.len()));
        builder
            .write(&mut data, payload)
            .map_err(|error| Failure::file(&self.path, error))?;
        let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
        self.writer
            .write_packet(&PcapPacket::new(*at, len, &data))
            .map_err(|error| Failure::file(&self.path, error))?;
        Ok(())
    }

    /// Ends the file.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        let Recorder { path, writer } = self;
        writer
            .into_writer()
            .flush()
            .map_err(|error| Failure::file(&path, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagrams() -> Vec<Datagram> {
        let v4 = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let v6 = |port| SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port));
        vec![
            Datagram {
                at: Moment::new(1_700_000_000, 123_456_789),
                source: v4(6000),
                destination: v4(5060),
                payload: b"OPTIONS sip:1000@127.0.0.1 SIP/2.0\r\n\r\n".to_vec(),
            },
            Datagram {
                at: Moment::new(1_700_000_001, 0),
                source: v6(6000),
                destination: v6(5060),
                payload: vec![0, 255, 13, 10],
            },
        ]
    }

    fn written() -> Vec<u8> {
        // Several tests write at once.
        let thread = std::thread::current().id();
        let name = format!("switchboard-{}-{thread:?}.pcap", std::process::id());
        let path = std::env::temp_dir().join(name);
        let mut recorder = Recorder::create(&path).expect("a file");
        for datagram in datagrams() {
            recorder.write(&datagram).expect("a packet");
        }
        recorder.finish().expect("the end");
        let bytes = std::fs::read(&path).expect("the file");
        std::fs::remove_file(&path).expect("its end");
        bytes
    }

    #[test]
    fn reads_what_it_wrote() {
        let capture = Capture::parse(&written()).expect("a capture");
        assert_eq!(capture.packets, datagrams());
        assert_eq!(capture.sha256.len(), 64);
    }

    #[test]
    fn reads_ethernet_and_leaves_out_what_is_not_udp() {
        let header = PcapHeader {
            datalink: DataLink::ETHERNET,
            ..PcapHeader::default()
        };
        let mut writer = PcapWriter::with_header(Vec::new(), header).expect("a writer");
        let ethernet =
            || PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([127, 0, 0, 1], [127, 0, 0, 1], 9);
        let (mut udp, mut tcp) = (Vec::new(), Vec::new());
        ethernet()
            .udp(6000, 5060)
            .write(&mut udp, b"SIP")
            .expect("a packet");
        ethernet()
            .tcp(6000, 5060, 1, 1)
            .write(&mut tcp, b"SIP")
            .expect("a packet");
        for data in [&udp, &tcp, &vec![0; 9]] {
            let packet = PcapPacket::new(Moment::from_secs(1), data.len() as u32, data);
            writer.write_packet(&packet).expect("written");
        }
        let capture = Capture::parse(&writer.into_writer()).expect("a capture");
        assert_eq!((capture.packets.len(), capture.skipped), (1, 2));
        assert_eq!(capture.packets[0].payload, b"SIP");
        assert_eq!(capture.packets[0].source, ([127, 0, 0, 1], 6000).into());
    }

    #[test]
    fn every_cut_is_an_error_or_ends_between_packets() {
        let bytes = written();
        let mut whole = 0;
        for cut in 0..bytes.len() {
            match Capture::parse(&bytes[..cut]) {
                Ok(capture) => whole += capture.packets.len(),
                Err(what) => assert!(!what.is_empty()),
            }
        }
        assert_eq!(
            whole, 1,
            "only the cut after the first packet leaves a capture"
        );
    }

    #[test]
    fn no_byte_of_it_can_make_it_panic() {
        let bytes = written();
        for idx in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut bytes = bytes.clone();
                bytes[idx] = value;
                let _ = Capture::parse(&bytes);
            }
        }
    }
}
