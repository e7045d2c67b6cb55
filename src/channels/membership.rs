//! Who is where: channels in bridges and at endpoints, and what becomes of that when one of them ends.
//!
//! A bridge's own state says who is in it. The channel's side of it is changed under the bridge's lock, so
//! the two agree; what was published of the channel is published anew if it does not say so.

use super::TelephonyError;
use super::bridge::{self, Beside, Bridge};
use super::bridge_snapshot::BridgeSnapshot;
use super::channel::{self, Channel};
use super::commit::{Publication, Sent, Unheard};
use super::endpoint::Endpoint;
use super::segments::Bridged;
use super::snapshot::ChannelSnapshot;
use crate::sync::unmodelled::{Arc, Weak};
use std::cell::Cell;

impl Bridge {
    /// A channel enters. First it is said that it has entered, then what the bridge is like now; both on
    /// the bridge's topic, and nothing of this bridge comes between. A channel may be in several; its
    /// snapshots name the visible one that it entered last, and none once it has left that.
    ///
    /// # Errors
    /// [`TelephonyError::AlreadyInBridge`], [`TelephonyError::ChannelEnded`],
    /// [`TelephonyError::BridgeEnded`]; and what publish has to say: the channel has entered all the same.
    pub fn enter(&self, channel: &Channel) -> Result<(), TelephonyError> {
        if channel.has_ended() {
            return Err(TelephonyError::ChannelEnded);
        }
        if self.has_ended() {
            return Err(TelephonyError::BridgeEnded);
        }
        if self.snapshot().channels.contains(channel.id()) {
            return Err(TelephonyError::AlreadyInBridge);
        }
        let mut unheard = Unheard::default();
        if self.inner.is_visible {
            channel.inner.show(&self.inner);
            unheard.pass(channel.publish())?;
        }
        let snapshot = channel.snapshot_or_current();
        let has_joined = Cell::new(true);
        let change = |bridge: &mut BridgeSnapshot| {
            if !bridge.channels.insert(snapshot.id().into()) {
                return Err(TelephonyError::AlreadyInBridge);
            }
            bridge.count();
            Ok(())
        };
        let stored = || has_joined.set(channel.inner.join(&self.inner));
        let entered = self
            .inner
            .change(Beside::Entered(&snapshot), change, stored);
        let entered = unheard.pass(entered);
        if !has_joined.get() {
            // The channel ended in between, and found nothing to leave.
            unheard.note(
                self.inner
                    .let_out(&channel.inner, &channel.snapshot_or_current()),
            );
            return Err(TelephonyError::ChannelEnded);
        }
        if entered.is_err() {
            channel.inner.take_back(&self.inner);
        }
        unheard.note(channel.inner.publish_bridge());
        entered.and(unheard.finish())
    }

    /// A channel leaves. First it is said what the bridge is like now, then that the channel has left.
    /// One that ends leaves by itself.
    ///
    /// # Errors
    /// [`TelephonyError::NotInBridge`], [`TelephonyError::BridgeEnded`]; and what publish has to say: the
    /// channel has left all the same.
    pub fn leave(&self, channel: &Channel) -> Result<(), TelephonyError> {
        if self.has_ended() {
            return Err(TelephonyError::BridgeEnded);
        }
        if !self.snapshot().channels.contains(channel.id()) {
            return Err(TelephonyError::NotInBridge);
        }
        let mut unheard = Unheard::default();
        if self.inner.is_visible {
            channel.inner.hide(&self.inner);
            match channel.publish() {
                Err(TelephonyError::ChannelEnded) => {}
                told => {
                    unheard.pass(told)?;
                }
            }
        }
        let snapshot = channel.snapshot_or_current();
        unheard.pass(self.inner.let_out(&channel.inner, &snapshot))?;
        // Somebody may have had it enter in between.
        unheard.note(channel.inner.publish_bridge());
        unheard.finish()
    }
}

impl bridge::Inner {
    fn let_out(
        &self,
        channel: &channel::Inner,
        snapshot: &Arc<ChannelSnapshot>,
    ) -> Result<Publication, TelephonyError> {
        let change = |bridge: &mut BridgeSnapshot| {
            if !bridge.channels.remove(snapshot.id()) {
                return Err(TelephonyError::NotInBridge);
            }
            bridge.count();
            Ok(())
        };
        self.change(Beside::Left(snapshot), change, || channel.part(self))
    }

    /// Ends it, and lets its channels out. Nothing follows its end, so nobody is told that they left: they
    /// are published as being in no bridge.
    pub(super) fn end(&self) -> Result<(), TelephonyError> {
        let change = |bridge: &mut BridgeSnapshot| {
            bridge.channels.clear();
            bridge.count();
            Ok(())
        };
        let members = Cell::new(Vec::new());
        let stored = || members.set(std::mem::take(&mut *self.members.lock()));
        let sent = self.commit(true, Beside::Nothing, change, stored)?;
        let to_all = self.to_all.lock().take();
        drop(to_all);
        let mut unheard = Unheard::default();
        unheard.note(sent.map_or(Ok(()), Sent::settle));
        for channel in members.into_inner() {
            if let Some(channel) = channel.upgrade() {
                channel.part(self);
                unheard.note(channel.publish_bridge());
            }
        }
        // Not before: a new bridge of that id is announced after the end of this one.
        self.shared.bridges.free(&self.id);
        unheard.finish()
    }
}

impl channel::Inner {
    /// It is about to be in that bridge.
    fn show(&self, bridge: &bridge::Inner) {
        let mut state = self.state.lock();
        let id = (*bridge.id).into();
        state.current.bridge = Arc::new(Bridged { id });
    }

    /// It is about to leave that bridge, if it is in it.
    fn hide(&self, bridge: &bridge::Inner) {
        let mut state = self.state.lock();
        if state.is_in(bridge) {
            state.forget(bridge);
        }
    }

    /// It has not come to be in that bridge.
    fn take_back(&self, bridge: &bridge::Inner) {
        let mut state = self.state.lock();
        if !state.is_in(bridge) {
            state.forget(bridge);
        }
    }

    /// It is in that bridge now. False, and nothing, if it has ended. Under the bridge's lock.
    fn join(self: &Arc<Self>, bridge: &Arc<bridge::Inner>) -> bool {
        let mut state = self.state.lock();
        if state.has_ended {
            return false;
        }
        state.bridges.push(Arc::downgrade(bridge));
        if bridge.is_visible && *state.current.bridge.id != *bridge.id {
            let id = (*bridge.id).into();
            state.current.bridge = Arc::new(Bridged { id });
        }
        drop(state);
        bridge.members.lock().push(Arc::downgrade(self));
        true
    }

    /// It is not in that bridge any more. Under the bridge's lock, or after its end.
    fn part(&self, bridge: &bridge::Inner) {
        let mut state = self.state.lock();
        state.bridges.retain(|own| !is_it(own, bridge));
        state.forget(bridge);
        drop(state);
        bridge.members.lock().retain(|own| !is_it(own, self));
    }

    /// Publishes it, unless what was published says rightly which bridge it is in. No error if it has
    /// ended.
    fn publish_bridge(&self) -> Result<(), TelephonyError> {
        let is_right = {
            let state = self.state.lock();
            let latest = state.latest.as_ref();
            latest.is_none_or(|latest| latest.bridge == state.current.bridge)
        };
        if is_right {
            return Ok(());
        }
        match self.publish() {
            Ok(_) | Err(TelephonyError::ChannelEnded) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Ends it: it leaves its bridges and its endpoint.
    pub(super) fn end(&self) -> Result<(), TelephonyError> {
        let (_, sent) = self.commit(true)?;
        let mut state = self.state.lock();
        let bridges = std::mem::take(&mut state.bridges);
        let (to_all, endpoint) = (state.to_all.take(), state.endpoint.take());
        let latest = state.latest.clone();
        let snapshot = latest.unwrap_or_else(|| Arc::new(state.current.clone()));
        drop(state);
        drop(to_all);
        let mut unheard = Unheard::default();
        unheard.note(sent.settle());
        for bridge in bridges.iter().filter_map(Weak::upgrade) {
            match bridge.let_out(self, &snapshot) {
                // Somebody was faster.
                Err(TelephonyError::NotInBridge | TelephonyError::BridgeEnded) => {}
                left => unheard.note(left),
            }
        }
        if let Some((endpoint, _)) = endpoint {
            unheard.note(self.agree_with(&endpoint));
        }
        // Not before: a new channel of that id is announced after the end of this one.
        self.shared.channels.free(&self.id);
        unheard.finish()
    }

    /// Has the endpoint count it among its channels, or not, as it is. If several do so at once, each
    /// looks again after its change, so the last one is right.
    fn agree_with(&self, endpoint: &Endpoint) -> Result<(), TelephonyError> {
        let mut unheard = Unheard::default();
        loop {
            let is_there = self.is_at(endpoint);
            let told = if is_there {
                endpoint.add_channel(&self.id)
            } else {
                endpoint.remove_channel(&self.id)
            };
            unheard.pass(told)?;
            if self.is_at(endpoint) == is_there {
                return unheard.finish();
            }
        }
    }

    fn is_at(&self, endpoint: &Endpoint) -> bool {
        let state = self.state.lock();
        let own = state.endpoint.as_ref();
        own.is_some_and(|(own, _)| own.is_same(endpoint))
    }
}

impl channel::State {
    fn is_in(&self, bridge: &bridge::Inner) -> bool {
        self.bridges.iter().any(|own| is_it(own, bridge))
    }

    /// Clears the bridge if it is that one, and not another one that it has entered since.
    fn forget(&mut self, bridge: &bridge::Inner) {
        if bridge.is_visible && *self.current.bridge.id == *bridge.id {
            self.current.bridge = Arc::default();
        }
    }
}

fn is_it<T>(weak: &Weak<T>, it: &T) -> bool {
    std::ptr::eq(weak.as_ptr(), it)
}

impl Channel {
    /// Its messages go to the endpoint's topic too from now on, and the endpoint counts it among its
    /// channels until it ends. The channel keeps the endpoint, as a handle of it does. Costs what the
    /// endpoint's list of channels takes to copy.
    ///
    /// # Errors
    /// [`TelephonyError::ChannelEnded`] and [`TelephonyError::EndpointEnded`]; and what publish has to say:
    /// it is at the endpoint all the same.
    pub fn set_endpoint(&self, endpoint: &Endpoint) -> Result<(), TelephonyError> {
        if endpoint.has_ended() {
            return Err(TelephonyError::EndpointEnded);
        }
        let forward = self.inner.topic.forward_to(endpoint.topic())?;
        let old = {
            let mut state = self.inner.state.lock();
            if state.has_ended {
                drop(state);
                return Err(TelephonyError::ChannelEnded);
            }
            state.endpoint.replace((endpoint.clone(), forward))
        };
        let mut unheard = Unheard::default();
        let added = unheard.pass(self.inner.agree_with(endpoint));
        if let Some((old, forward)) = old {
            drop(forward);
            if !old.is_same(endpoint) {
                unheard.pass(self.inner.agree_with(&old))?;
            }
        }
        added.and(unheard.finish())
    }
}
