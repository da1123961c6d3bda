-- +goose Up
-- The key pairs with which a confidential-asymmetric client shows who it is. One of a registration signs; others are
-- published beside it, before or after their time.
CREATE TABLE client_key (
    registration_id TEXT NOT NULL REFERENCES registration (id) ON DELETE CASCADE,
    kid             TEXT NOT NULL,
    private         BLOB NOT NULL, -- sealed with the workstation's key
    public          TEXT NOT NULL, -- JWK
    signs           INTEGER NOT NULL CHECK (signs IN (0, 1)),
    created_at      INTEGER NOT NULL,
    PRIMARY KEY (registration_id, kid)
);
CREATE UNIQUE INDEX client_key_signs ON client_key (registration_id) WHERE signs = 1;
