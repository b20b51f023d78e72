//! Limits in force: what each device and each project has used of them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::BuildHasherDefault;
use std::time::{Duration, Instant};

use super::bucket::{Bucket, Rate};
use super::{Fanouts, Limits};
use crate::hash::{Hash128, PassThrough};
use crate::limits::MAX_WATCHED_DEVICES;

/// A limit that a request is beyond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// Messages to the device, with the time until there may be one.
    Device(Duration),
    /// Collapsible messages to the device, likewise.
    Collapsible(Duration),
    /// Collapse keys in use for the device; so many are possible.
    CollapseKeys(u32),
    /// Fan-outs of the project, with the time until one ends.
    Fanouts(Duration),
    /// Changes of subscriptions of the project, with the time until there may be one.
    Subscriptions(Duration),
}

impl Exceeded {
    /// Whole seconds after which it is worth trying again; none where no time helps.
    pub(crate) fn retry_after_s(self) -> Option<u32> {
        let wait = match self {
            Exceeded::Device(wait)
            | Exceeded::Collapsible(wait)
            | Exceeded::Fanouts(wait)
            | Exceeded::Subscriptions(wait) => wait,
            Exceeded::CollapseKeys(_) => return None,
        };
        Some(wait.as_secs_f64().ceil().max(1.0) as u32)
    }
}

/// A message to a device, as far as limits concern it.
#[derive(Debug, Clone, Copy)]
pub(super) struct ToDevice {
    pub(super) device: Hash128,
    pub(super) is_collapsible: bool,
    /// Its collapse key, and how long that is in use.
    pub(super) key: Option<(Hash128, Duration)>,
}

#[derive(Debug)]
pub(super) struct Used {
    limits: Limits,
    devices: HashMap<Hash128, Device, BuildHasherDefault<PassThrough>>,
    /// By index of the project: when those under way end.
    fanouts: HashMap<usize, BinaryHeap<Reverse<Instant>>>,
    /// By index of the project.
    subscriptions: HashMap<usize, Bucket>,
    max_devices: usize,
}

/// What one device has used.
#[derive(Debug)]
struct Device {
    minute: Option<Bucket>,
    hour: Option<Bucket>,
    collapsible: Option<Bucket>,
    /// Collapse keys in use, each until a time.
    keys: Vec<(Hash128, Instant)>,
}

impl Used {
    pub(super) fn new(limits: Limits) -> Used {
        Used {
            limits,
            devices: HashMap::default(),
            fanouts: HashMap::new(),
            subscriptions: HashMap::new(),
            max_devices: MAX_WATCHED_DEVICES,
        }
    }

    /// Takes a message to a device. Devices beyond the bound aren't watched; theirs always pass.
    pub(super) fn send_to_device(&mut self, message: ToDevice, now: Instant) -> Result<(), Exceeded> {
        if self.devices.len() >= self.max_devices && !self.devices.contains_key(&message.device) {
            return Ok(());
        }
        let limits = &self.limits;
        let device = self.devices.entry(message.device).or_insert_with(|| Device::new(limits, now));
        device.take(limits, message, now)
    }

    /// Takes a send to a topic or condition that reaches so many devices. One that reaches nobody ends at once.
    pub(super) fn fan_out(&mut self, project: usize, devices: u64, now: Instant) -> Result<(), Exceeded> {
        let Some(Fanouts { concurrent, devices_per_s }) = self.limits.fanouts else { return Ok(()) };
        let ends = self.fanouts.entry(project).or_default();
        while ends.peek().is_some_and(|Reverse(end)| *end <= now) {
            ends.pop();
        }
        if let Some(Reverse(first)) = ends.peek()
            && ends.len() >= concurrent as usize
        {
            return Err(Exceeded::Fanouts(first.saturating_duration_since(now)));
        }
        if devices > 0 {
            let takes = Duration::from_secs_f64(devices as f64 / f64::from(devices_per_s));
            ends.push(Reverse(now + takes));
        }
        Ok(())
    }

    /// Takes the change of one subscription.
    pub(super) fn subscription(&mut self, project: usize, now: Instant) -> Result<(), Exceeded> {
        let Some(per_s) = self.limits.subscriptions_per_s else { return Ok(()) };
        let bucket =
            self.subscriptions.entry(project).or_insert_with(|| Bucket::new(Rate::per(per_s, 1), now));
        bucket.take(now).map_err(Exceeded::Subscriptions)
    }
}

impl Device {
    fn new(limits: &Limits, now: Instant) -> Device {
        let full = |rate: Rate| Bucket::new(rate, now);
        Device {
            minute: limits.device_per_minute.map(|count| full(Rate::per(count, 60))),
            hour: limits.device_per_hour.map(|count| full(Rate::per(count, 3_600))),
            collapsible: limits
                .collapsible
                .map(|limit| full(Rate { burst: limit.burst, per_second: 1.0 / f64::from(limit.refill_s) })),
            keys: Vec::new(),
        }
    }

    /// Takes from every bucket or from none.
    fn take(&mut self, limits: &Limits, message: ToDevice, now: Instant) -> Result<(), Exceeded> {
        let mut of_device = [self.minute.as_mut(), self.hour.as_mut()];
        let wait = of_device.iter_mut().flatten().map(|bucket| bucket.wait(now)).max().unwrap_or_default();
        if !wait.is_zero() {
            return Err(Exceeded::Device(wait));
        }
        let mut collapsible = self.collapsible.as_mut().filter(|_| message.is_collapsible);
        let wait = collapsible.as_mut().map(|bucket| bucket.wait(now)).unwrap_or_default();
        if !wait.is_zero() {
            return Err(Exceeded::Collapsible(wait));
        }
        if let (Some(most), Some((key, in_use))) = (limits.collapse_keys, message.key) {
            use_key(&mut self.keys, most, key, now, now + in_use)?;
        }
        of_device.into_iter().chain([collapsible]).flatten().for_each(Bucket::spend);
        Ok(())
    }
}

fn use_key(
    keys: &mut Vec<(Hash128, Instant)>,
    most: u32,
    key: Hash128,
    now: Instant,
    until: Instant,
) -> Result<(), Exceeded> {
    keys.retain(|(_, until)| *until > now);
    if let Some((_, in_use)) = keys.iter_mut().find(|(known, _)| *known == key) {
        *in_use = until;
        return Ok(());
    }
    if keys.len() >= most as usize {
        return Err(Exceeded::CollapseKeys(most));
    }
    keys.push((key, until));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Collapsible;

    fn plain(device: Hash128) -> ToDevice {
        ToDevice { device, is_collapsible: false, key: None }
    }

    fn with_key(device: Hash128, key: Hash128, in_use_s: u64) -> ToDevice {
        ToDevice { device, is_collapsible: true, key: Some((key, secs(in_use_s))) }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn fcms_device_rates_hold_and_recover() {
        let mut used = Used::new(Limits::FCM);
        let start = Instant::now();
        for _ in 0..240 {
            assert_eq!(used.send_to_device(plain(1), start), Ok(()));
        }
        let wait = Duration::from_millis(250);
        assert_eq!(used.send_to_device(plain(1), start), Err(Exceeded::Device(wait)));
        assert_eq!(used.send_to_device(plain(2), start), Ok(()), "another device has its own");
        assert_eq!(used.send_to_device(plain(1), start + wait), Ok(()));

        // At the full rate per minute the hour's 5,000, refilled at 1.39/s meanwhile, last about half an hour.
        let mut sent = 241;
        let mut now = start + wait;
        while now < start + secs(3_600) {
            now += wait;
            sent += u32::from(used.send_to_device(plain(1), now).is_ok());
        }
        assert!((9_900..=10_000).contains(&sent), "5,000 at once and 5,000 that came back: {sent}");
    }

    #[test]
    fn a_burst_of_collapsible_messages_then_one_in_three_minutes() {
        let mut used = Used::new(Limits::FCM);
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(used.send_to_device(with_key(1, 9, 0), start), Ok(()));
        }
        assert_eq!(used.send_to_device(with_key(1, 9, 0), start), Err(Exceeded::Collapsible(secs(180))));
        assert_eq!(used.send_to_device(plain(1), start), Ok(()), "others pass");
        assert_eq!(used.send_to_device(with_key(1, 9, 0), start + secs(180)), Ok(()));
    }

    #[test]
    fn a_refused_message_uses_nothing_up() {
        let collapsible = Some(Collapsible { burst: 1, refill_s: 3_600 });
        let limits = Limits { device_per_minute: Some(2), collapsible, ..Limits::default() };
        let mut used = Used::new(limits);
        let now = Instant::now();
        assert_eq!(used.send_to_device(with_key(1, 9, 0), now), Ok(()));
        for _ in 0..5 {
            assert!(matches!(used.send_to_device(with_key(1, 9, 0), now), Err(Exceeded::Collapsible(_))));
        }
        assert_eq!(used.send_to_device(plain(1), now), Ok(()));
        assert!(matches!(used.send_to_device(plain(1), now), Err(Exceeded::Device(_))));
    }

    #[test]
    fn collapse_keys_are_in_use_for_a_time_to_live() {
        let mut used = Used::new(Limits { collapse_keys: Some(4), ..Limits::default() });
        let start = Instant::now();
        for key in [1, 2, 3, 4, 1] {
            assert_eq!(used.send_to_device(with_key(1, key, 60), start), Ok(()));
        }
        assert_eq!(used.send_to_device(with_key(1, 5, 60), start), Err(Exceeded::CollapseKeys(4)));
        assert_eq!(used.send_to_device(with_key(2, 5, 60), start), Ok(()), "another device has its own");
        assert_eq!(used.send_to_device(with_key(1, 5, 60), start + secs(60)), Ok(()));
    }

    #[test]
    fn fan_outs_take_as_long_as_they_reach_devices() {
        let fanouts = Some(Fanouts { concurrent: 2, devices_per_s: 10 });
        let mut used = Used::new(Limits { fanouts, ..Limits::default() });
        let start = Instant::now();
        assert_eq!(used.fan_out(0, 10, start), Ok(()));
        assert_eq!(used.fan_out(0, 0, start), Ok(()), "reaches nobody");
        assert_eq!(used.fan_out(0, 30, start), Ok(()));
        assert_eq!(used.fan_out(0, 1, start), Err(Exceeded::Fanouts(secs(1))));
        assert_eq!(used.fan_out(1, 1, start), Ok(()), "another project has its own");
        assert_eq!(used.fan_out(0, 1, start + secs(1)), Ok(()));
    }

    #[test]
    fn subscriptions_have_a_rate_per_project() {
        let mut used = Used::new(Limits { subscriptions_per_s: Some(2), ..Limits::default() });
        let start = Instant::now();
        assert_eq!((used.subscription(0, start), used.subscription(0, start)), (Ok(()), Ok(())));
        let wait = Duration::from_millis(500);
        assert_eq!(used.subscription(0, start), Err(Exceeded::Subscriptions(wait)));
        assert_eq!(used.subscription(1, start), Ok(()));
        assert_eq!(used.subscription(0, start + wait), Ok(()));
    }

    #[test]
    fn devices_beyond_the_bound_are_let_through() {
        let limits = Limits { device_per_minute: Some(1), ..Limits::default() };
        assert_eq!(Used::new(limits).max_devices, MAX_WATCHED_DEVICES);
        let mut used = Used { max_devices: 1, ..Used::new(limits) };
        let now = Instant::now();
        for device in [1, 2, 2] {
            assert_eq!(used.send_to_device(plain(device), now), Ok(()));
        }
        assert!(used.send_to_device(plain(1), now).is_err());
    }
}
