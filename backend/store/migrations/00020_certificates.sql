-- +goose Up
-- The certificate around a client's public key (PEM), as Epic's form takes it. It is kept, so that its fingerprint stays the
-- one that the EHR shows. Empty for a key from before.
ALTER TABLE client_key ADD COLUMN certificate TEXT NOT NULL DEFAULT '';
