-- +goose Up
-- What was seen of the last failure of a registration, for its diagnosis. It goes with the next success.
CREATE TABLE failure (
    registration_id TEXT NOT NULL REFERENCES registration (id) ON DELETE CASCADE,
    profile_id      TEXT NOT NULL REFERENCES profile (id) ON DELETE CASCADE,
    facts           BLOB NOT NULL, -- sealed with the profile's key
    at              INTEGER NOT NULL,
    PRIMARY KEY (registration_id, profile_id)
);
