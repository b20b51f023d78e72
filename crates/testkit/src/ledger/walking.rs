//! Lists read to their end, and counts held against them.

use std::collections::BTreeMap;

use pabal_core::delivery::{DeliveryState, Reason};
use pabal_core::ids::{AppId, ItemId, NotificationId};
use pabal_core::seam::store::{
    DeadLetter, DeliveryFilter, DeliveryView, NotificationFilter, NotificationView,
};
use pabal_core::seam::{DeadFilter, Listed, Store};

/// More pages than any list of a case has.
const PAGES_MAX: usize = 20_000;

/// Reads a list until a page names no next one. Each page is bounded.
pub(crate) async fn all_pages<T, C: Clone>(
    max: usize,
    mut page: impl AsyncFnMut(Option<C>) -> pabal_core::Result<Listed<T, C>>,
) -> Vec<T> {
    let (mut all, mut from) = (Vec::new(), None);
    for _ in 0..PAGES_MAX {
        let Listed { items, next } = page(from).await.expect("a page");
        assert!(items.len() <= max, "a page of {} where {max} was asked for", items.len());
        all.extend(items);
        from = next;
        if from.is_none() {
            return all;
        }
    }
    panic!("the list does not end");
}

/// The notifications that a filter finds, read in pages of so many.
pub(crate) async fn notifications(
    store: &dyn Store,
    app: AppId,
    filter: &NotificationFilter,
    max: usize,
) -> Vec<NotificationView> {
    all_pages(max, async |before| store.list_notifications(app, filter, before, max).await).await
}

/// The deliveries that a filter finds, read in pages of so many.
pub(crate) async fn deliveries(
    store: &dyn Store,
    app: AppId,
    filter: &DeliveryFilter,
    max: usize,
) -> Vec<DeliveryView> {
    all_pages(max, async |before| store.list_deliveries(app, filter, before, max).await).await
}

/// The dead letters that a filter finds, read in pages of so many.
pub(crate) async fn dead_letters(
    store: &dyn Store,
    app: AppId,
    filter: &DeadFilter,
    max: usize,
) -> Vec<DeadLetter> {
    all_pages(max, async |before| store.list_dead(app, filter, before, max).await).await
}

/// Which dead letters a filter finds.
pub(crate) async fn dead(store: &dyn Store, app: AppId, filter: &DeadFilter) -> Vec<ItemId> {
    dead_letters(store, app, filter, 100).await.iter().map(id_of).collect()
}

pub(crate) fn id_of(letter: &DeadLetter) -> ItemId {
    match letter {
        DeadLetter::Delivery { view, .. } => ItemId::Delivery(view.id),
        DeadLetter::FanOut { view, .. } => ItemId::FanOut(view.notification.id),
    }
}

/// Asserts that all counts of an app, each notification's and those of the whole, equal a recount.
pub(crate) async fn assert_counts(store: &dyn Store, app: AppId) {
    let mut of_each = BTreeMap::<NotificationId, BTreeMap<DeliveryState, u64>>::new();
    let mut of_all = BTreeMap::<(DeliveryState, Option<Reason>), u64>::new();
    for view in deliveries(store, app, &DeliveryFilter::default(), 100).await {
        *of_each.entry(view.notification).or_default().entry(view.state).or_default() += 1;
        *of_all.entry((view.state, view.reason)).or_default() += 1;
    }
    for view in notifications(store, app, &NotificationFilter::default(), 100).await {
        let counted = of_each.remove(&view.notification.id).unwrap_or_default();
        assert_eq!(view.counts.into_iter().collect::<BTreeMap<_, _>>(), counted, "{}", view.notification.id);
    }
    assert_eq!(of_each, BTreeMap::new(), "deliveries of what is no notification");
    let totals = store.totals(app).await.expect("totals").into_iter();
    let totals: BTreeMap<_, _> = totals
        .filter(|(_, _, count)| *count > 0)
        .map(|(state, reason, count)| ((state, reason), count))
        .collect();
    assert_eq!(totals, of_all, "the totals, then a recount");
}
