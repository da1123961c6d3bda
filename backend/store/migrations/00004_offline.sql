-- +goose Up
-- Whether a sign-in asks for access that outlasts it. What was stored before asked for it.
ALTER TABLE registration ADD COLUMN offline_access INTEGER NOT NULL DEFAULT 1;

-- Whether a provider chooses a patient at the sign-in.
ALTER TABLE registration ADD COLUMN patient_needed INTEGER NOT NULL DEFAULT 0;
