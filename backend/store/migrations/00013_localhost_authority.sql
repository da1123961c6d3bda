-- +goose Up
-- The certificate authority of this computer alone, for redirect and launch URLs with https.
CREATE TABLE localhost_authority (
    only_one    INTEGER PRIMARY KEY CHECK (only_one = 1),
    certificate BLOB NOT NULL, -- DER
    key         BLOB NOT NULL, -- sealed with the workstation's key
    created_at  INTEGER NOT NULL
);
