-- +goose Up
-- Times are milliseconds since 1970 UTC. Columns that hold sealed bytes say so; this package cannot open them.

-- The header of the vault that seals this database: how its master key is protected. Nothing in it is secret.
CREATE TABLE vault (
    id         TEXT PRIMARY KEY,
    only_one   INTEGER NOT NULL DEFAULT 1 UNIQUE CHECK (only_one = 1),
    header     TEXT NOT NULL, -- JSON
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
);

-- A person who uses this workstation.
CREATE TABLE profile (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    role       TEXT NOT NULL CHECK (role IN ('admin', 'clinician')),
    created_at INTEGER NOT NULL
);

-- A data key, wrapped by the vault's master key. Its owner is 'workstation' or a profile's id.
CREATE TABLE data_key (
    owner      TEXT PRIMARY KEY,
    wrapped    BLOB NOT NULL, -- sealed
    created_at INTEGER NOT NULL
);

CREATE TABLE registration (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE COLLATE NOCASE,
    ehr           TEXT NOT NULL,
    environment   TEXT NOT NULL CHECK (environment IN ('sandbox', 'production')),
    fhir_base_url TEXT NOT NULL, -- exactly as entered: a trailing slash is significant for aud
    issuer        TEXT NOT NULL, -- the same normalised, to match the iss of an EHR launch
    client_id     TEXT NOT NULL,
    client_type   TEXT NOT NULL CHECK (client_type IN ('public', 'confidential-symmetric', 'confidential-asymmetric')),
    client_secret BLOB, -- sealed with the workstation's key
    auth_method   TEXT NOT NULL DEFAULT '', -- the client authentication that last worked
    audience      TEXT NOT NULL CHECK (audience IN ('patient', 'provider')),
    scopes        TEXT NOT NULL, -- space separated; empty = the default for the audience
    redirect_uris TEXT NOT NULL, -- JSON array
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL
);
CREATE INDEX registration_issuer ON registration (issuer);

-- What one profile may do through one registration. kind leaves room for grants from an EHR launch beside the standalone one.
CREATE TABLE grants (
    id                TEXT PRIMARY KEY,
    registration_id   TEXT NOT NULL REFERENCES registration (id) ON DELETE CASCADE,
    profile_id        TEXT NOT NULL REFERENCES profile (id) ON DELETE CASCADE,
    kind              TEXT NOT NULL CHECK (kind IN ('standalone', 'launch')),
    version           INTEGER NOT NULL, -- goes up with each new token: a refresh replaces only the version that it read
    fhir_base_url     TEXT NOT NULL,
    access_token      BLOB NOT NULL, -- sealed with the profile's key
    refresh_token     BLOB, -- sealed with the profile's key
    context           BLOB NOT NULL, -- sealed with the profile's key: patient, encounter, user, other launch context
    scopes_requested  TEXT NOT NULL,
    scopes_granted    TEXT NOT NULL,
    access_expires_at INTEGER, -- null = the server did not say
    ended             TEXT NOT NULL DEFAULT '', -- why only a new sign-in helps; empty while the grant lives
    last_error        TEXT NOT NULL DEFAULT '', -- JSON fault of the last failed use; empty after a success
    connected_at      INTEGER NOT NULL,
    refreshed_at      INTEGER
);
CREATE UNIQUE INDEX grants_standalone ON grants (registration_id, profile_id) WHERE kind = 'standalone';
CREATE INDEX grants_profile ON grants (profile_id);

-- What a server said of itself, kept until it is due to be asked again.
CREATE TABLE discovery (
    fhir_base_url TEXT PRIMARY KEY,
    configuration TEXT NOT NULL, -- JSON
    fetched_at    INTEGER NOT NULL,
    expires_at    INTEGER NOT NULL
);

-- The latest test of a registration by a profile. The checks may name a patient, so they are sealed.
CREATE TABLE test_report (
    registration_id TEXT NOT NULL REFERENCES registration (id) ON DELETE CASCADE,
    profile_id      TEXT NOT NULL REFERENCES profile (id) ON DELETE CASCADE,
    layer           TEXT NOT NULL,
    ok              INTEGER NOT NULL CHECK (ok IN (0, 1)),
    started_at      INTEGER NOT NULL,
    report          BLOB, -- sealed with the profile's key; null where no vault existed yet
    PRIMARY KEY (registration_id, profile_id)
);

-- The standalone failures that have no grant to stand beside: the last sign-in that did not work.
CREATE TABLE connect_failure (
    registration_id TEXT NOT NULL REFERENCES registration (id) ON DELETE CASCADE,
    profile_id      TEXT NOT NULL REFERENCES profile (id) ON DELETE CASCADE,
    error           TEXT NOT NULL, -- JSON fault
    at              INTEGER NOT NULL,
    PRIMARY KEY (registration_id, profile_id)
);
