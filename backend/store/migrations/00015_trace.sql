-- +goose Up
-- What the latest operations said to servers and heard from them, redacted.
CREATE TABLE trace (
    id              INTEGER PRIMARY KEY,
    registration_id TEXT NOT NULL REFERENCES registration (id) ON DELETE CASCADE,
    profile_id      TEXT NOT NULL REFERENCES profile (id) ON DELETE CASCADE,
    trace           BLOB NOT NULL, -- sealed with the profile's key
    at              INTEGER NOT NULL
);
CREATE INDEX trace_of ON trace (profile_id, registration_id, id);
