-- What a service of many apps needs: keys that can be listed and revoked, dead letters as jobs, lists, retention, and
-- forgetting a person. Added to the tables that are big is only what can be added without rewriting them.

-- Keys by their id: a UUID of version 7, of which those that were here get one that says when they were made.
-- Of the first words for scopes, `devices` became `manage`.
CREATE TABLE keys_by_id (
    id           BLOB    PRIMARY KEY CHECK (length(id) = 16),
    hash         BLOB    NOT NULL UNIQUE CHECK (length(hash) = 32),
    app          INTEGER NOT NULL,
    name         TEXT    NOT NULL,
    scopes       TEXT    NOT NULL,  -- words, separated by spaces
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER,
    revoked_at   INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;
INSERT INTO keys_by_id (id, hash, app, name, scopes, created_at)
SELECT unhex(printf('%012x', min(max(created_at, 0), 0xFFFFFFFFFFFF)) || '7' || substr(hex(randomblob(2)), 1, 3)
        || substr('89AB', 1 + (random() & 3), 1) || substr(hex(randomblob(8)), 1, 15)),
    hash, app, name, trim(replace(' ' || scopes || ' ', ' devices ', ' manage ')), created_at
FROM keys;
DROP TABLE keys;
ALTER TABLE keys_by_id RENAME TO keys;
CREATE INDEX keys_of_app ON keys (app, id);
CREATE INDEX keys_not_revoked ON keys (app, id) WHERE revoked_at IS NULL;

-- `finished_at` is when a fan-out ended, `reason` why it is dead. `ended_at` is when something of the notification last
-- changed, which is when the last of it ended where nothing is open: it moves with the counters, so that pruning walks the
-- deliveries of those alone that may go. Rows that are older than these columns, or have lost deliveries, don't know it.
ALTER TABLE notification_states ADD COLUMN reason TEXT CHECK (reason IS NULL OR state = 5);
ALTER TABLE notification_states ADD COLUMN finished_at INTEGER CHECK (finished_at IS NULL OR state >= 2);
ALTER TABLE notification_states ADD COLUMN ended_at INTEGER;
-- Whether deliveries of it were removed.
ALTER TABLE notification_states ADD COLUMN thinned INTEGER NOT NULL DEFAULT 0;
-- Nothing but being abandoned has killed a fan-out so far.
UPDATE notification_states
SET reason = iif(state = 5, 'abandoned', NULL), finished_at = iif(state = 4, expires_at, due_at)
WHERE state > 2;

-- Notifications that may name people to whom no delivery of theirs leads: for who is to be forgotten.
CREATE INDEX notification_states_unled ON notification_states (id) WHERE state <> 2 OR thinned = 1;

-- When an entry fell due, whatever leases of it came and ended since.
ALTER TABLE queue ADD COLUMN fell_due_at INTEGER NOT NULL DEFAULT 0;
UPDATE queue SET fell_due_at = iif(place = 0, due_at, due_before);

-- Devices by the time of their mark, for who polls.
CREATE INDEX devices_marked ON devices (app, mark_at, user, device) WHERE mark IS NOT NULL;

-- Jobs that redrive dead letters. States: 0 running  1 done  2 stopped. The cursor is the last id that was looked at, with
-- its kind: 0 a delivery, 1 a fan-out.
CREATE TABLE redrives (
    id          BLOB    PRIMARY KEY CHECK (length(id) = 16),
    app         INTEGER NOT NULL,
    filter      TEXT    NOT NULL,  -- JSON
    user        TEXT,              -- whom it is for, where it is for one
    rate_per_s  INTEGER NOT NULL CHECK (rate_per_s > 0),
    state       INTEGER NOT NULL CHECK (state BETWEEN 0 AND 2),
    after_kind  INTEGER CHECK (after_kind IN (0, 1)),
    after_id    BLOB CHECK (length(after_id) = 16),
    total       INTEGER,           -- NULL: too many to count
    reopened    INTEGER NOT NULL DEFAULT 0,
    created_at  INTEGER NOT NULL,
    finished_at INTEGER,
    CHECK ((state = 0) = (finished_at IS NULL)),
    CHECK ((after_kind IS NULL) = (after_id IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX redrives_of_app ON redrives (app, id);
CREATE INDEX redrives_running ON redrives (app, id) WHERE state = 0;
CREATE INDEX redrives_of_user ON redrives (app, user) WHERE user IS NOT NULL;
CREATE INDEX redrives_finished ON redrives (finished_at, id) WHERE state <> 0;
