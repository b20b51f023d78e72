// Every bound of the page. What is beyond one is counted and told, never silently left out.

/** Devices drawn at once; the others are found by searching. */
export const DEVICES_SHOWN = 48;
/** Devices remembered; beyond it those that were quiet for longest are forgotten. */
export const DEVICES_KEPT = 3_000;
/** Messages remembered over all devices; beyond it whole devices are forgotten, as above. */
export const MESSAGES_KEPT = 20_000;
/** Messages remembered of one device; beyond it its oldest are forgotten. */
export const MESSAGES_PER_DEVICE = 50;
/** Notifications drawn on one device. */
export const NOTIFICATIONS_SHOWN = 20;
/** Collapse keys that FCM keeps for one device that is offline (Firebase documentation). */
export const COLLAPSE_KEYS = 4;
/** Least time between two drawings. */
export const DRAW_PAUSE_MS = 150;
/** Least time between two announcements to a screen reader. */
export const ANNOUNCE_PAUSE_MS = 3_000;
/** How often "5m" becomes "6m". */
export const CLOCK_MS = 20_000;
/** How long after a refused connection the page tries again; the browser itself retries broken ones. */
export const CONNECT_AGAIN_MS = 2_000;
