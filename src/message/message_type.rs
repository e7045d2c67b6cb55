//! Message types: what a message says that it is. Each has a name, and a number that the tables of the bus
//! are indexed by. This is *not* about Rust types: several message types may carry one and the same.

use super::Message;
use super::format::{Format, Formatter, Formatters, Render};
use super::header::Origin;
use super::payload::{Erased, VTable};
use crate::sync;
use crate::sync::unmodelled::{OnceLock, RwLock};
use std::any::{Any, TypeId, type_name};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

/// A type of messages: a name, and the Rust type `T` that its messages carry.
///
/// Message types are values, most often statics. Two of them are two types, whatever their names and
/// whatever they carry; the name is for people. Any `T: Send + Sync + 'static` also has a type by default,
/// so a message type is needed only where the same payload can mean several things.
///
/// The type gets its number when it is first used, and from then on takes some bytes for the life of the
/// process. So make them once: a `const` would be a new type at each mention.
///
/// ```
/// use stasis_bus::MessageType;
///
/// struct Call { id: u32 }
///
/// static RINGING: MessageType<Call> = MessageType::new("ringing");
/// static HANGUP: MessageType<Call> = MessageType::new("hangup");
///
/// let message = HANGUP.message(Call { id: 7 });
/// assert!(message.is(&HANGUP) && !message.is(&RINGING));
/// assert_eq!(message.payload(&HANGUP).map(|call| call.id), Some(7));
/// assert!(message.payload(&RINGING).is_none());
/// ```
///
/// Payloads are shared between threads, so they must be `Sync`:
///
/// ```compile_fail
/// use stasis_bus::MessageType;
/// static BAD: MessageType<std::cell::Cell<u32>> = MessageType::new("bad");
/// ```
pub struct MessageType<T: 'static> {
    name: &'static str,
    control: bool,
    formatters: &'static [Formatter<T>],
    info: OnceLock<&'static TypeInfo>,
    carries: PhantomData<fn(T) -> T>,
}

impl<T: Send + Sync + 'static> MessageType<T> {
    /// A new type with that name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self::with_control(name, false, &[])
    }

    /// A new type with that name, whose messages can be rendered as text: see [`Format`], which shows it.
    /// Of several formatters for one format the first one counts. A message of such a type is 32 bytes
    /// larger.
    #[must_use]
    pub const fn with_formats(name: &'static str, formatters: &'static [Formatter<T>]) -> Self {
        Self::with_control(name, false, formatters)
    }

    /// One of the bus's own types. There is no way for others to get at it: what carries it is genuine (L2).
    #[must_use]
    pub(super) const fn control(name: &'static str) -> Self {
        Self::with_control(name, true, &[])
    }

    const fn with_control(
        name: &'static str,
        control: bool,
        formatters: &'static [Formatter<T>],
    ) -> Self {
        Self {
            name,
            control,
            formatters,
            info: OnceLock::new(),
            carries: PhantomData,
        }
    }

    /// A new type whose name is known at run time only. It lives as long as the process.
    ///
    /// ```
    /// use stasis_bus::MessageType;
    ///
    /// let reading: &'static MessageType<f64> = MessageType::leak(format!("sensor {}", 3));
    /// assert_eq!(reading.message(0.5).type_name(), "sensor 3");
    /// ```
    #[must_use]
    pub fn leak(name: impl Into<String>) -> &'static Self {
        Self::leak_with_formats(name, Vec::new())
    }

    /// The same for a type whose messages can be rendered as text.
    ///
    /// ```
    /// use stasis_bus::{Format, Formatter, MessageType};
    ///
    /// static TEXT: Format = Format::new("text");
    ///
    /// let reading = MessageType::leak_with_formats(
    ///     format!("sensor {}", 3),
    ///     vec![Formatter::new(&TEXT, |value: &f64, _| Some(value.to_string()))],
    /// );
    /// assert_eq!(reading.message(0.5).render(&TEXT).as_deref(), Some("0.5"));
    /// ```
    #[must_use]
    pub fn leak_with_formats(
        name: impl Into<String>,
        formatters: Vec<Formatter<T>>,
    ) -> &'static Self {
        let name: &'static str = Box::leak(name.into().into_boxed_str());
        let formatters: &'static [Formatter<T>] = Box::leak(formatters.into_boxed_slice());
        let leaked: &'static Self = Box::leak(Box::new(Self::with_formats(name, formatters)));
        LEAKED
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .push(leaked);
        leaked
    }

    /// The name that it was given.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its number: dense from 0, given on first use, the same for the life of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.info().id
    }

    /// Its description, without the Rust type.
    #[inline]
    #[must_use]
    pub fn info(&self) -> &'static TypeInfo {
        self.info.get_or_init(|| self.register())
    }

    #[cold]
    fn register(&self) -> &'static TypeInfo {
        let formatters: Option<&'static dyn Render> = match self.formatters {
            [] => None,
            some => Some(Box::leak(Box::new(Formatters(some)))),
        };
        register::<T>(self.name, self.control, formatters)
    }

    /// A message of this type. `payload` is moved into it, and never copied after that.
    #[inline]
    #[must_use]
    pub fn message(&self, payload: T) -> Message {
        self.message_with_origin(payload, Origin::LOCAL)
    }

    /// The same, on behalf of somebody else.
    #[inline]
    #[must_use]
    pub fn message_with_origin(&self, payload: T, origin: Origin) -> Message {
        let info = self.info();
        Message(match info.formatters {
            None => Erased::new(info, payload, origin),
            Some(_) => Erased::with_renderings(info, payload, origin),
        })
    }
}

impl<T: 'static> fmt::Debug for MessageType<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MessageType").field(&self.name).finish()
    }
}

/// The description of a message type, for tables and listings. Equal if it is of the same type.
///
/// ```
/// use stasis_bus::{Message, MessageType};
///
/// static PING: MessageType<()> = MessageType::new("ping");
///
/// let info = PING.message(()).info();
/// assert_eq!((info.name(), info.id()), ("ping", PING.id()));
/// assert!(!info.is_control());
/// assert_eq!(info, PING.info());
/// ```
pub struct TypeInfo {
    name: &'static str,
    id: u32,
    control: bool,
    formats: Box<[&'static Format]>,
    formatters: Option<&'static dyn Render>,
    /// The Rust type that all messages of this type carry.
    carries: TypeId,
    vtable: &'static VTable,
}

impl TypeInfo {
    /// The name: for people, not unique.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The number: dense from 0, never used twice in a process.
    #[inline]
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// True for the bus's own types, which nobody else can make messages of: final messages, gap notices and
    /// subscription changes.
    #[inline]
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.control
    }

    /// The formats that its messages can be rendered in.
    #[must_use]
    pub fn formats(&self) -> &[&'static Format] {
        &self.formats
    }

    /// True if its messages can be rendered in that format; a message may be one that there is no text for.
    #[must_use]
    pub fn has_format(&self, format: &Format) -> bool {
        self.formats.contains(&format)
    }

    pub(super) fn formatters(&self) -> Option<&'static dyn Render> {
        self.formatters
    }

    #[inline]
    pub(super) fn carries(&self) -> TypeId {
        self.carries
    }

    #[inline]
    pub(super) fn vtable(&self) -> &'static VTable {
        self.vtable
    }
}

impl fmt::Debug for TypeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypeInfo")
            .field("name", &self.name)
            .field("id", &self.id)
            .field("control", &self.control)
            .field("formats", &self.formats)
            .finish()
    }
}

impl PartialEq for TypeInfo {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for TypeInfo {}

impl Hash for TypeInfo {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

/// All types in use, by number. No user code runs under its lock.
static TYPES: RwLock<Vec<&'static TypeInfo>> = RwLock::new(Vec::new());

/// What [`MessageType::leak`] made, so that leak checkers find it.
static LEAKED: RwLock<Vec<&'static (dyn Any + Send + Sync)>> = RwLock::new(Vec::new());

#[cold]
fn register<T: Send + Sync + 'static>(
    name: &'static str,
    control: bool,
    formatters: Option<&'static dyn Render>,
) -> &'static TypeInfo {
    let formats = formatters.map(Render::formats).unwrap_or_default().into();
    let mut types = TYPES
        .write()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let id = u32::try_from(types.len()).expect("memory is used up before the numbers are");
    let info = Box::leak(Box::new(TypeInfo {
        name,
        id,
        control,
        formats,
        formatters,
        carries: TypeId::of::<T>(),
        vtable: VTable::of::<T>(formatters.is_some()),
    }));
    types.push(info);
    info
}

/// The description of the type with that number, if there is one.
pub(crate) fn type_by_id(id: u32) -> Option<&'static TypeInfo> {
    let types = TYPES
        .read()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    types.get(id as usize).copied()
}

/// The types that payloads have by default.
static DEFAULTS: RwLock<BTreeMap<TypeId, &'static TypeInfo>> = RwLock::new(BTreeMap::new());

type CacheLine = Cell<Option<(TypeId, &'static TypeInfo)>>;

/// How many default types a thread finds without the lock of [`DEFAULTS`]; a power of two.
const CACHE_LINES: usize = 32;

sync::thread_local! {
    static CACHE: [CacheLine; CACHE_LINES] = const { [const { Cell::new(None) }; CACHE_LINES] };
}

/// The type that a `T` is published under when nothing else is said. Its name is Rust's name of `T`.
#[inline]
pub(crate) fn default_type<T: Send + Sync + 'static>() -> &'static TypeInfo {
    let key = TypeId::of::<T>();
    let cached = CACHE.try_with(|cache| {
        let line = &cache[cache_line(key)];
        match line.get() {
            Some((held, info)) if held == key => info,
            _ => {
                let info = find_or_register_default::<T>(key);
                line.set(Some((key, info)));
                info
            }
        }
    });
    // The thread is being torn down: the map is there for good.
    cached.unwrap_or_else(|_| find_or_register_default::<T>(key))
}

/// A `TypeId` is a good hash itself: its `Hash` hands over 64 bits of it, which are taken as they are.
#[inline]
fn cache_line(key: TypeId) -> usize {
    struct Bits(u64);
    impl Hasher for Bits {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for &byte in bytes {
                self.0 = self.0.rotate_left(8) ^ u64::from(byte);
            }
        }
        fn write_u64(&mut self, bits: u64) {
            self.0 = bits;
        }
    }
    let mut bits = Bits(0);
    key.hash(&mut bits);
    (bits.finish() as usize) % CACHE_LINES
}

#[cold]
fn find_or_register_default<T: Send + Sync + 'static>(key: TypeId) -> &'static TypeInfo {
    let found = {
        let defaults = DEFAULTS
            .read()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        defaults.get(&key).copied()
    };
    found.unwrap_or_else(|| {
        let mut defaults = DEFAULTS
            .write()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        defaults
            .entry(key)
            .or_insert_with(|| register::<T>(type_name::<T>(), false, None))
    })
}
