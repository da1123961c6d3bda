-- +goose Up
-- The EHRs that launched into this workstation, and what a person decided of them.
CREATE TABLE issuer (
    issuer          TEXT PRIMARY KEY, -- normalised, for comparing
    received        TEXT NOT NULL, -- as the EHR wrote it
    decision        TEXT NOT NULL CHECK (decision IN ('pending', 'approved', 'refused')),
    registration_id TEXT REFERENCES registration (id) ON DELETE CASCADE, -- with 'approved'
    launches        INTEGER NOT NULL,
    first_seen      INTEGER NOT NULL,
    last_seen       INTEGER NOT NULL,
    decided_at      INTEGER
);
CREATE INDEX issuer_registration ON issuer (registration_id);

-- A launch that no person started gives a grant that waits until somebody has looked whose it is.
ALTER TABLE grants ADD COLUMN accepted INTEGER NOT NULL DEFAULT 1;

-- What the workstation remembers of a person's choices, such as whether the launch listener is on.
CREATE TABLE setting (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
