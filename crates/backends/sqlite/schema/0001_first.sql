-- The first schema. Times are milliseconds since 1970, by the store's clock; ids are 16 bytes.
--
-- States of a delivery:      0 scheduled  1 retrying  2 delivered  3 dead  4 expired  5 cancelled  6 undeliverable
-- States of a notification:  0 scheduled  1 expanding  2 expanded  3 cancelled  4 expired  5 dead
-- Kinds of an address:       0 token  1 fid  2 fcm_topic  3 fcm_condition
-- Reasons, outcomes, channels, platforms and marks are kept by the words of the API.

CREATE TABLE store (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    id         BLOB    NOT NULL CHECK (length(id) = 16),
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE apps (
    app  INTEGER PRIMARY KEY,
    name TEXT    NOT NULL UNIQUE
) STRICT;
INSERT INTO apps (app, name) VALUES (1, 'default');

-- Routes by number, so that rows of the queue stay narrow.
CREATE TABLE routes (
    route INTEGER PRIMARY KEY,
    name  TEXT    NOT NULL UNIQUE
) STRICT;

-- The queue: which ids are due when. Places: 0 waiting, 1 leased, 2 suspect. `due_at` is the visibility timeout too: a
-- leased entry is due when its lease ends. Clustered by (place, route, due_at), so that a claim walks one run of the tree
-- in order and meets neither leases nor suspects. Epoch and worker are the last claim's; the worker stays until that is
-- settled or released, for a late settle that nobody has overtaken counts.
CREATE TABLE queue (
    place      INTEGER NOT NULL CHECK (place IN (0, 1, 2)),
    route      INTEGER NOT NULL,
    due_at     INTEGER NOT NULL,
    id         BLOB    NOT NULL CHECK (length(id) = 16),
    fan_out    INTEGER NOT NULL CHECK (fan_out IN (0, 1)),
    epoch      INTEGER NOT NULL,
    worker     INTEGER,
    abandoned  INTEGER NOT NULL CHECK (abandoned >= 0),
    due_before INTEGER NOT NULL,  -- what due_at was when it was last claimed
    PRIMARY KEY (place, route, due_at, id),
    CHECK (place <> 1 OR worker IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX queue_by_id ON queue (id);

-- Entries of each route, leased ones included; moved once per batch, so that nobody has to scan.
CREATE TABLE queue_counts (
    route   INTEGER PRIMARY KEY,
    entries INTEGER NOT NULL
) STRICT;

CREATE TABLE queue_binding (
    one        INTEGER PRIMARY KEY CHECK (one = 1),
    store      BLOB    NOT NULL CHECK (length(store) = 16),
    layout     INTEGER NOT NULL,
    shards     INTEGER NOT NULL,
    generation INTEGER
) STRICT;

-- What was asked for: written once.
CREATE TABLE notifications (
    id         BLOB    PRIMARY KEY CHECK (length(id) = 16),
    app        INTEGER NOT NULL,
    lane       TEXT    NOT NULL CHECK (lane IN ('transactional', 'bulk')),
    ttl_ms     INTEGER NOT NULL CHECK (ttl_ms >= 0),
    send_at    INTEGER,
    channels   TEXT,              -- JSON array of words; NULL: all
    recipients TEXT    NOT NULL,  -- JSON
    message    TEXT    NOT NULL,  -- JSON
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX notifications_of_app ON notifications (app, id);

-- How it stands, with its deliveries counted by state.
CREATE TABLE notification_states (
    id               BLOB    PRIMARY KEY CHECK (length(id) = 16),
    state            INTEGER NOT NULL CHECK (state BETWEEN 0 AND 5),
    due_at           INTEGER NOT NULL,            -- of its fan-out, while it is open
    expires_at       INTEGER NOT NULL,
    cursor           INTEGER NOT NULL DEFAULT 0,  -- users resolved so far; never goes back
    failures         INTEGER NOT NULL DEFAULT 0,
    epoch            INTEGER NOT NULL DEFAULT 0,  -- of the last settlement
    page_epoch       INTEGER NOT NULL DEFAULT 0,  -- of the last page
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    scheduled        INTEGER NOT NULL DEFAULT 0 CHECK (scheduled >= 0),
    retrying         INTEGER NOT NULL DEFAULT 0 CHECK (retrying >= 0),
    delivered        INTEGER NOT NULL DEFAULT 0 CHECK (delivered >= 0),
    dead             INTEGER NOT NULL DEFAULT 0 CHECK (dead >= 0),
    expired          INTEGER NOT NULL DEFAULT 0 CHECK (expired >= 0),
    cancelled        INTEGER NOT NULL DEFAULT 0 CHECK (cancelled >= 0),
    undeliverable    INTEGER NOT NULL DEFAULT 0 CHECK (undeliverable >= 0)
) STRICT, WITHOUT ROWID;
-- What may have to be expired.
CREATE INDEX notification_states_open ON notification_states (expires_at, id)
    WHERE state < 2 OR scheduled > 0 OR retrying > 0;
-- Fan-outs that are open work, for the reconciler.
CREATE INDEX notification_states_due ON notification_states (due_at, id) WHERE state < 2;
CREATE INDEX notification_states_dead ON notification_states (id) WHERE state = 5;

-- A delivery: written once. Its recipient is (user, device), or (user) alone for who has no device, or an address.
CREATE TABLE deliveries (
    id           BLOB    PRIMARY KEY CHECK (length(id) = 16),
    app          INTEGER NOT NULL,
    notification BLOB    NOT NULL CHECK (length(notification) = 16),
    user         TEXT,
    device       TEXT,
    target_kind  INTEGER CHECK (target_kind BETWEEN 0 AND 3),
    target       TEXT,
    created_at   INTEGER NOT NULL,
    CHECK ((user IS NULL) = (target IS NOT NULL) AND (target IS NULL) = (target_kind IS NULL)),
    CHECK (device IS NULL OR user IS NOT NULL)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_of_notification ON deliveries (notification, id);
CREATE INDEX deliveries_of_user ON deliveries (app, user, id) WHERE user IS NOT NULL;

-- How it stands: narrow, because retries come back in random order. The last four columns are its first attempt's,
-- where that one delivered it: then it has no row in `attempts`, and its timeline is complete all the same.
CREATE TABLE delivery_states (
    id               BLOB    PRIMARY KEY CHECK (length(id) = 16),
    state            INTEGER NOT NULL CHECK (state BETWEEN 0 AND 6),
    reason           TEXT,
    route            INTEGER,                     -- NULL where there is no device
    due_at           INTEGER NOT NULL,
    epoch            INTEGER NOT NULL DEFAULT 0,  -- of the last settlement
    attempts         INTEGER NOT NULL DEFAULT 0,
    counted          INTEGER NOT NULL DEFAULT 0,
    cancel_requested INTEGER NOT NULL DEFAULT 0,
    finished_at      INTEGER,
    first_at         INTEGER,
    first_latency_ms INTEGER,
    first_status     INTEGER,
    first_detail     TEXT,
    CHECK ((state < 2) = (finished_at IS NULL)),
    CHECK ((state > 2) = (reason IS NOT NULL)),
    CHECK (state >= 2 OR route IS NOT NULL),
    CHECK (state <> 2 OR attempts > 0),
    CHECK (counted <= attempts)
) STRICT, WITHOUT ROWID;
CREATE INDEX delivery_states_open ON delivery_states (due_at, id) WHERE state < 2;
CREATE INDEX delivery_states_dead ON delivery_states (id) WHERE state = 3;

-- The attempts of deliveries that were not delivered at once.
CREATE TABLE attempts (
    delivery   BLOB    NOT NULL CHECK (length(delivery) = 16),
    number     INTEGER NOT NULL CHECK (number > 0),
    at         INTEGER NOT NULL,
    outcome    TEXT    NOT NULL,
    status     INTEGER,
    code       TEXT,
    detail     TEXT,
    latency_ms INTEGER NOT NULL,
    PRIMARY KEY (delivery, number)
) STRICT, WITHOUT ROWID;

-- Deliveries of an app by state and reason ('' where there is none), moved once per batch.
CREATE TABLE totals (
    app    INTEGER NOT NULL,
    state  INTEGER NOT NULL,
    reason TEXT    NOT NULL,
    count  INTEGER NOT NULL,
    PRIMARY KEY (app, state, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
    app         INTEGER NOT NULL,
    user        TEXT    NOT NULL,
    device      TEXT    NOT NULL,
    channel     TEXT    NOT NULL,
    credential  TEXT    NOT NULL,
    platform    TEXT    NOT NULL,
    target_kind INTEGER NOT NULL CHECK (target_kind IN (0, 1)),
    target      TEXT    NOT NULL,
    locale      TEXT,
    time_zone   TEXT,
    mark        TEXT CHECK (mark IN ('retired', 'quarantined')),
    mark_reason TEXT,
    mark_at     INTEGER,
    created_at  INTEGER NOT NULL,
    seen_at     INTEGER NOT NULL,
    PRIMARY KEY (app, user, device),
    CHECK ((mark IS NULL) = (mark_reason IS NULL) AND (mark IS NULL) = (mark_at IS NULL))
) STRICT, WITHOUT ROWID;
-- An address belongs to one device.
CREATE UNIQUE INDEX devices_by_target ON devices (app, channel, target_kind, target);

CREATE TABLE idempotency (
    app          INTEGER NOT NULL,
    key          TEXT    NOT NULL,
    body_hash    BLOB    NOT NULL CHECK (length(body_hash) = 32),
    notification BLOB    NOT NULL CHECK (length(notification) = 16),
    deliveries   INTEGER,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (app, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_by_age ON idempotency (created_at);

CREATE TABLE keys (
    hash       BLOB    PRIMARY KEY CHECK (length(hash) = 32),
    app        INTEGER NOT NULL,
    name       TEXT    NOT NULL,
    scopes     TEXT    NOT NULL,  -- words, separated by spaces
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE pauses (
    route  INTEGER PRIMARY KEY,
    reason TEXT    NOT NULL,
    since  INTEGER NOT NULL
) STRICT;
