-- +goose Up
-- The way from this workstation to its servers: its own, and what single registrations add.
CREATE TABLE network_way (
    way_of         TEXT PRIMARY KEY, -- 'workstation' or a registration's id
    proxy          TEXT NOT NULL DEFAULT '', -- JSON, without the password
    proxy_password BLOB, -- sealed with the workstation's key
    authorities    TEXT NOT NULL DEFAULT '', -- PEM
    client_chain   TEXT NOT NULL DEFAULT '', -- PEM
    client_key     BLOB, -- sealed with the workstation's key
    updated_at     INTEGER NOT NULL
);
