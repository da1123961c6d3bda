-- +goose Up
-- The client that this workstation registered for itself at a sign-in, with the private key that renews the access in the
-- place of a refresh token. Sealed with the profile's key; null where there is none.
ALTER TABLE grants ADD COLUMN instance BLOB;
