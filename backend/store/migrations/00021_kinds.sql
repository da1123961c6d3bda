-- +goose Up
-- An app that people sign in to, or a backend service, which is this workstation's own and signs in by itself.
ALTER TABLE registration ADD COLUMN kind TEXT NOT NULL DEFAULT 'app' CHECK (kind IN ('app', 'backend'));
