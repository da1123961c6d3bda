-- +goose Up
-- Wrong passcodes are counted, and from some number on cost time. Both outlive a restart.
ALTER TABLE profile ADD COLUMN wrong_passcodes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE profile ADD COLUMN passcode_after INTEGER NOT NULL DEFAULT 0; -- no passcode is tried before this time

-- How a passcode makes the key that wraps this one under the master key (JSON); empty where the master key alone does.
ALTER TABLE data_key ADD COLUMN kdf TEXT NOT NULL DEFAULT '';

-- A sign-in with another account than last time waits beside the connection that it would replace.
DROP INDEX grants_standalone;
CREATE UNIQUE INDEX grants_standalone ON grants (registration_id, profile_id, accepted) WHERE kind = 'standalone';

-- Whose account a profile last connected with, so that another one is noticed. It outlives the connection.
CREATE TABLE account (
    registration_id TEXT NOT NULL REFERENCES registration (id) ON DELETE CASCADE,
    profile_id      TEXT NOT NULL REFERENCES profile (id) ON DELETE CASCADE,
    account         BLOB NOT NULL, -- sealed with the profile's key
    PRIMARY KEY (registration_id, profile_id)
);

-- The activity record: each entry is chained to the one before.
CREATE TABLE audit (
    seq     INTEGER PRIMARY KEY,
    body    BLOB NOT NULL, -- JSON; never a token, a secret, a patient or clinical content
    patient BLOB, -- sealed with the workstation's key
    mac     BLOB NOT NULL,
    keyed   INTEGER NOT NULL CHECK (keyed IN (0, 1))
);

-- The end of the chain, and the key that chains it.
CREATE TABLE audit_chain (
    only_one INTEGER PRIMARY KEY CHECK (only_one = 1),
    head     TEXT NOT NULL, -- JSON
    key      BLOB -- sealed with the workstation's key; null until a vault exists
);
