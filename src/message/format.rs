//! Formats: what a message of a type is as text for others, JSON or whatever somebody declares. A text is
//! made when it is first asked for, once, and shared. It is *not* decided here who gets it.

use super::Message;
use crate::sync::Mutex;
use crate::sync::unmodelled::{Arc, OnceLock, RwLock, Weak};
use std::any::Any;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::panic::{RefUnwindSafe, UnwindSafe};

/// A format in which messages can be rendered: a name, and an identity.
///
/// Formats are values, most often statics. Two of them are two formats, whatever their names. Which types
/// have a format is said when they are made: [`MessageType::with_formats`](crate::MessageType::with_formats).
///
/// ```
/// use stasis_bus::{Format, Formatter, MessageType};
///
/// struct Call { id: u32 }
///
/// static TEXT: Format = Format::new("text");
/// static CSV: Format = Format::new("csv");
/// static RINGING: MessageType<Call> = MessageType::with_formats(
///     "ringing",
///     &[Formatter::new(&TEXT, |call, _| Some(format!("call {} rings", call.id)))],
/// );
///
/// let message = RINGING.message(Call { id: 7 });
/// assert_eq!(message.render(&TEXT).as_deref(), Some("call 7 rings"));
/// assert_eq!(message.render(&CSV), None);
/// ```
pub struct Format {
    name: &'static str,
    id: OnceLock<u32>,
}

impl Format {
    /// A new format with that name.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            id: OnceLock::new(),
        }
    }

    /// The name that it was given: for people, not unique.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Its number: dense from 0, given on first use, the same for the life of the process.
    #[must_use]
    pub fn id(&self) -> u32 {
        *self.id.get_or_init(|| take_number(&FORMATS) as u32)
    }
}

impl fmt::Debug for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Format").field(&self.name).finish()
    }
}

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Format {}

impl Hash for Format {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

/// How many formats have a number.
static FORMATS: RwLock<u64> = RwLock::new(0);

/// How many sanitizers there have been, and one: 0 stands for none.
static SANITIZERS: RwLock<u64> = RwLock::new(1);

fn take_number(next: &RwLock<u64>) -> u64 {
    let mut next = next
        .write()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let number = *next;
    *next += 1;
    number
}

/// How a payload of type `T` is rendered in one format: a function, so that it captures nothing.
///
/// It returns `None` if there is no text for this payload, or none that the sanitizer leaves anything of. It
/// is called by [`Message::render`], without any lock, on the thread that asks.
pub struct Formatter<T> {
    format: &'static Format,
    call: fn(&T, &Rendering<'_>) -> Option<String>,
}

impl<T> Formatter<T> {
    /// Renders in `format` by calling `call`.
    #[must_use]
    pub const fn new(
        format: &'static Format,
        call: fn(&T, &Rendering<'_>) -> Option<String>,
    ) -> Self {
        Self { format, call }
    }

    /// The format.
    #[must_use]
    pub const fn format(&self) -> &'static Format {
        self.format
    }
}

impl<T> Clone for Formatter<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Formatter<T> {}

impl<T> fmt::Debug for Formatter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Formatter").field(&self.format).finish()
    }
}

/// What a [`Formatter`] is told besides the payload: of what message it is, and for whose eyes.
#[derive(Debug)]
pub struct Rendering<'a> {
    message: &'a Message,
    format: &'a Format,
    sanitizer: Option<&'a Sanitizer>,
}

impl<'a> Rendering<'a> {
    /// The message, with its timestamp and the rest.
    #[must_use]
    pub fn message(&self) -> &'a Message {
        self.message
    }

    /// The format that was asked for.
    #[must_use]
    pub fn format(&self) -> &'a Format {
        self.format
    }

    /// True if that is to be left out. Without a sanitizer nothing is.
    #[must_use]
    pub fn leaves_out(&self, subject: &Subject<'_>) -> bool {
        self.sanitizer
            .is_some_and(|sanitizer| sanitizer.leaves_out(subject))
    }
}

/// What a text is not to speak of: a function that is asked for each object, and says true for those that are
/// to be left out.
///
/// Clones are the same sanitizer; two that were made are two, and their texts are kept apart. So make one for
/// each audience, not one for each text. When the last clone has gone, messages let go of its texts as they
/// get others.
///
/// It may be asked for one and the same object with its snapshot in one place, and by kind and id alone in
/// another, where no more is known: the channels in a bridge are such. Who decides by the snapshot must know
/// by the id as well what to say then.
///
/// ```
/// use stasis_bus::{Format, Formatter, MessageType, Sanitizer, Subject};
///
/// static TEXT: Format = Format::new("text");
/// static JOINED: MessageType<&str> = MessageType::with_formats(
///     "joined",
///     &[Formatter::new(&TEXT, |who, rendering| {
///         let seen = !rendering.leaves_out(&Subject::new("person", who));
///         seen.then(|| format!("{who} joined"))
///     })],
/// );
///
/// let public = Sanitizer::new("public", |subject: &Subject<'_>| subject.id().starts_with('_'));
/// let spy = JOINED.message("_spy");
/// assert_eq!(spy.render(&TEXT).as_deref(), Some("_spy joined"));
/// assert_eq!(spy.render_with(&TEXT, &public), None);
/// ```
#[derive(Clone)]
pub struct Sanitizer {
    name: Arc<str>,
    id: u64,
    leaves_out: Arc<dyn Fn(&Subject<'_>) -> bool + Send + Sync>,
    /// What clones have in common.
    identity: Arc<()>,
}

impl Sanitizer {
    /// A new one; it leaves out what `leaves_out` returns true for.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        leaves_out: impl Fn(&Subject<'_>) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into().into(),
            id: take_number(&SANITIZERS),
            leaves_out: Arc::new(leaves_out),
            identity: Arc::new(()),
        }
    }

    /// The name that it was given: for people, not unique.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// True if that is to be left out.
    #[must_use]
    pub fn leaves_out(&self, subject: &Subject<'_>) -> bool {
        (self.leaves_out)(subject)
    }
}

impl fmt::Debug for Sanitizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sanitizer").field(&self.name).finish()
    }
}

/// An object that a text may speak of, as a [`Sanitizer`] sees it: of what kind, which one, and what it is
/// like, if that is known. Where a text has no more than the id of an object, it is not.
///
/// ```
/// use stasis_bus::Subject;
///
/// struct Person { hidden: bool }
///
/// let subject = Subject::new("person", "alice").with_snapshot(&Person { hidden: true });
/// assert_eq!((subject.kind(), subject.id()), ("person", "alice"));
/// assert!(subject.snapshot::<Person>().is_some_and(|person| person.hidden));
/// ```
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    kind: &'a str,
    id: &'a str,
    snapshot: Option<&'a dyn Any>,
}

impl<'a> Subject<'a> {
    /// An object of which only kind and id are known.
    #[must_use]
    pub fn new(kind: &'a str, id: &'a str) -> Self {
        Self {
            kind,
            id,
            snapshot: None,
        }
    }

    /// The same, and this is what it is like.
    #[must_use]
    pub fn with_snapshot(self, snapshot: &'a dyn Any) -> Self {
        Self {
            snapshot: Some(snapshot),
            ..self
        }
    }

    /// The kind: a word such as `channel`.
    #[must_use]
    pub fn kind(&self) -> &'a str {
        self.kind
    }

    /// Which one of its kind.
    #[must_use]
    pub fn id(&self) -> &'a str {
        self.id
    }

    /// What it is like, if that is known and is an `S`.
    #[must_use]
    pub fn snapshot<S: 'static>(&self) -> Option<&'a S> {
        self.snapshot?.downcast_ref()
    }
}

impl fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({} {:?})", self.kind, self.id)
    }
}

/// The formatters of a message type, without its Rust type.
pub(super) trait Render: Send + Sync + UnwindSafe + RefUnwindSafe {
    fn formats(&self) -> Vec<&'static Format>;

    fn render(&self, rendering: &Rendering<'_>) -> Option<String>;
}

/// See [`Render`].
pub(super) struct Formatters<T: 'static>(pub(super) &'static [Formatter<T>]);

impl<T: 'static> Render for Formatters<T> {
    fn formats(&self) -> Vec<&'static Format> {
        self.0.iter().map(|formatter| formatter.format).collect()
    }

    fn render(&self, rendering: &Rendering<'_>) -> Option<String> {
        let mut formatters = self.0.iter();
        let formatter = formatters.find(|formatter| formatter.format == rendering.format)?;
        (formatter.call)(rendering.message.get::<T>()?, rendering)
    }
}

/// The texts of one message so far, those of sanitizers that have gone excepted. No user code runs under the
/// lock.
pub(super) struct Renderings(Mutex<Vec<Rendered>>);

/// What was made of a message, in what format, and for whom.
struct Rendered {
    format: u32,
    /// 0 for none.
    sanitizer: u64,
    /// Nobody asks for it again once the sanitizer has gone.
    identity: Option<Weak<()>>,
    text: Option<Arc<str>>,
}

impl Rendered {
    fn may_be_asked_for(&self) -> bool {
        let identity = self.identity.as_ref();
        identity.is_none_or(|identity| identity.strong_count() > 0)
    }
}

impl Renderings {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn find(&self, format: u32, sanitizer: u64) -> Option<Option<Arc<str>>> {
        find(&self.0.lock(), format, sanitizer)
    }

    /// The first one stays, for everybody.
    fn keep(&self, new: Rendered) -> Option<Arc<str>> {
        let mut all = self.0.lock();
        find(&all, new.format, new.sanitizer).unwrap_or_else(|| {
            all.retain(Rendered::may_be_asked_for);
            let text = new.text.clone();
            all.push(new);
            text
        })
    }
}

fn find(all: &[Rendered], format: u32, sanitizer: u64) -> Option<Option<Arc<str>>> {
    all.iter()
        .find(|rendered| rendered.format == format && rendered.sanitizer == sanitizer)
        .map(|rendered| rendered.text.clone())
}

impl Message {
    /// The message as text in that format; `None` if its type has no such format, or the formatter has no
    /// text for it.
    ///
    /// The text is made when it is first asked for, on the thread that asks, and kept with the message: all
    /// who hold it share one text. If several ask at the same time, several may make it; who is done first
    /// decides for all. A formatter that panics does so here, nothing is kept, and whoever asks next tries
    /// again. Messages of types without formats have no room for texts, and cost nothing.
    ///
    /// ```
    /// use stasis_bus::{Format, Formatter, MessageType};
    /// use std::sync::Arc;
    ///
    /// static TEXT: Format = Format::new("text");
    /// static COUNT: MessageType<u32> = MessageType::with_formats(
    ///     "count",
    ///     &[Formatter::new(&TEXT, |count, _| Some(count.to_string()))],
    /// );
    ///
    /// let message = COUNT.message(5);
    /// let (mine, yours) = (message.render(&TEXT).unwrap(), message.clone().render(&TEXT).unwrap());
    /// assert!(Arc::ptr_eq(&mine, &yours));
    /// ```
    #[must_use]
    pub fn render(&self, format: &Format) -> Option<Arc<str>> {
        self.render_for(format, None)
    }

    /// The same without what `sanitizer` leaves out. Texts are kept for each sanitizer.
    #[must_use]
    pub fn render_with(&self, format: &Format, sanitizer: &Sanitizer) -> Option<Arc<str>> {
        self.render_for(format, Some(sanitizer))
    }

    fn render_for(&self, format: &Format, sanitizer: Option<&Sanitizer>) -> Option<Arc<str>> {
        let formatters = self.info().formatters()?;
        let renderings = self.0.renderings()?;
        let id = format.id();
        let sanitizer_id = sanitizer.map_or(0, |sanitizer| sanitizer.id);
        if let Some(text) = renderings.find(id, sanitizer_id) {
            return text;
        }
        if !self.info().has_format(format) {
            return None;
        }
        let text = formatters.render(&Rendering {
            message: self,
            format,
            sanitizer,
        });
        renderings.keep(Rendered {
            format: id,
            sanitizer: sanitizer_id,
            identity: sanitizer.map(|sanitizer| Arc::downgrade(&sanitizer.identity)),
            text: text.map(Arc::from),
        })
    }
}
