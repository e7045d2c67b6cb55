//! What may go from thread to thread, be shared, be moved while it is pinned, and survive a caught panic: promises
//! that a change of a private field could break.

use stasis_bus::*;
use static_check::*;

mod static_check {
    //! Each function compiles for types that have the trait only.

    use std::panic::{RefUnwindSafe, UnwindSafe};

    pub(crate) fn is_send<T: Send>() {}
    pub(crate) fn is_sync<T: Sync>() {}
    pub(crate) fn is_unpin<T: Unpin>() {}
    pub(crate) fn is_unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}
    pub(crate) fn is_debug<T: std::fmt::Debug>() {}
    pub(crate) fn is_static<T: 'static>() {}
    pub(crate) fn is_error<T: std::error::Error + Send + Sync + 'static>() {}
    pub(crate) fn is_clone<T: Clone>() {}
    pub(crate) fn is_copy<T: Copy>() {}
}

/// A type has a trait, or has it not, as seen from outside: the trait method is chosen only if there is no inherent
/// one.
macro_rules! lacks {
    ($type:ty: $bound:ident) => {{
        struct Probe<T: ?Sized>(std::marker::PhantomData<T>);
        trait Lacks {
            fn has(&self) -> bool {
                false
            }
        }
        impl<T: ?Sized> Lacks for Probe<T> {}
        #[allow(dead_code)]
        impl<T: ?Sized + $bound> Probe<T> {
            fn has(&self) -> bool {
                true
            }
        }
        let probe: Probe<$type> = Probe(std::marker::PhantomData);
        assert!(!probe.has(), stringify!($type has $bound));
    }};
}

macro_rules! all {
    ($($type:ty),* $(,)?) => {
        $(
            is_send::<$type>();
            is_sync::<$type>();
            is_unpin::<$type>();
            is_debug::<$type>();
        )*
    };
}

#[test]
fn handles_are_sent_and_shared() {
    all!(
        Bus,
        BusBuilder,
        BusStats,
        ShutdownReport,
        Topic,
        TopicStats,
        Forward,
        Tap,
        TopicPool,
        StateTopics,
        StatePublisher,
        StateSubscriber,
        StateObservation,
        Subscription,
        SubscriptionStats,
        JoinFuture,
        ManualExecutor,
        dyn_executor::Shared,
        Delivery,
        OwnThread,
        Overflow,
        Conflate,
        Key,
        KeyRef<'static>,
        KeyKind,
        MessageCell,
        SendError,
        WaitStrategy,
        PanicPolicy,
        Congestion,
        Handled,
        Durations,
    );
    // A builder may be handed on while it is being filled; filters and hooks are called by many, the rest by one.
    is_send::<SubscriptionBuilder>();
    is_unpin::<SubscriptionBuilder>();
    lacks!(SubscriptionBuilder: Sync);
    // They run their subscription, or take from it: one thread at a time.
    is_send::<Receiver>();
    is_send::<RecvFuture<'static>>();
    is_send::<Task>();
    is_send::<Sent>();
    is_unpin::<Receiver>();
    is_unpin::<RecvFuture<'static>>();
    is_unpin::<Task>();
    lacks!(Receiver: Sync);
    lacks!(Task: Sync);
}

mod dyn_executor {
    pub(crate) type Shared = std::sync::Arc<dyn super::Executor>;
}

#[test]
fn messages_are_sent_and_shared() {
    all!(
        Message,
        MessageId,
        MessageType<String>,
        TypeInfo,
        Format,
        Formatter<std::cell::Cell<u8>>,
        Rendering<'static>,
        Sanitizer,
        Origin,
        Receipt,
        Timestamp,
        FinalMessage,
        FinalReason,
        Gap,
        SubscriptionChange,
        ChangeKind,
        HandlerPanic<'static>,
        Discarded<'static>,
    );
    // A message type says what it carries, and has none of it.
    all!(MessageType<std::cell::Cell<u8>>, MessageType<*const u8>);
    assert_eq!(size_of::<Message>(), size_of::<usize>());
    assert_eq!(size_of::<Option<Message>>(), size_of::<usize>());
}

#[test]
fn errors_are_errors() {
    is_error::<BuildError>();
    is_error::<TopicError>();
    is_error::<StateError>();
    is_error::<PatternError>();
    is_error::<PoolError>();
    is_error::<SubscribeError>();
    is_error::<ForwardError>();
    is_error::<PublishError>();
    is_error::<SyncError>();
    is_error::<WaitError>();
    is_error::<WouldDeadlock>();
    is_error::<TryRecvError>();
    is_error::<RecvError>();
}

#[test]
fn what_is_cloned_and_copied() {
    is_clone::<Bus>();
    is_clone::<Topic>();
    is_clone::<Message>();
    is_clone::<Delivery>();
    is_copy::<Receipt>();
    is_copy::<FinalMessage>();
    is_copy::<Gap>();
    is_copy::<MessageId>();
    is_copy::<Origin>();
    is_copy::<Timestamp>();
    // Each of these ends something as it is dropped: there is one of it.
    lacks!(Subscription: Clone);
    lacks!(Receiver: Clone);
    lacks!(Forward: Clone);
    lacks!(Task: Clone);
}

#[test]
fn nothing_borrows() {
    is_static::<Bus>();
    is_static::<Topic>();
    is_static::<Subscription>();
    is_static::<Receiver>();
    is_static::<JoinFuture>();
    is_static::<Task>();
    is_static::<SubscriptionBuilder>();
}

#[test]
fn plain_data_survives_a_caught_panic() {
    is_unwind_safe::<Receipt>();
    is_unwind_safe::<FinalMessage>();
    is_unwind_safe::<Gap>();
    is_unwind_safe::<SubscriptionChange>();
    is_unwind_safe::<MessageId>();
    is_unwind_safe::<MessageType<String>>();
    is_unwind_safe::<ShutdownReport>();
    is_unwind_safe::<WaitError>();
    is_unwind_safe::<SubscriptionStats>();
}
