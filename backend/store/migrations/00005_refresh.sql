-- +goose Up
-- When a refresh was sent whose answer is not stored. It stays where the process died, or the answer was lost.
ALTER TABLE grants ADD COLUMN refresh_began INTEGER;
-- When the refresh token runs out; null where the server did not say.
ALTER TABLE grants ADD COLUMN refresh_expires_at INTEGER;
