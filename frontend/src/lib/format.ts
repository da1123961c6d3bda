// Presentation of what Go tells: dates, durations, words. No judgement is made here.
import type { Registration, Status, VaultStatus } from './bridge';

export type State =
  | 'not_connected'
  | 'connected'
  | 'expired'
  | 'needs_reconnect'
  | 'connecting'
  | 'testing'
  | 'locked';

export const stateWords: Record<State, string> = {
  not_connected: 'Not connected',
  connected: 'Connected',
  expired: 'Expired',
  needs_reconnect: 'Needs reconnect',
  connecting: 'Connecting',
  testing: 'Testing',
  locked: 'Locked',
};

/** The one state to show: what is going on now comes before what is stored. */
export function shownState(
  status: Pick<Status, 'state'>,
  now: { connecting?: boolean; testing?: boolean; locked?: boolean },
): State {
  if (now.connecting) return 'connecting';
  if (now.testing) return 'testing';
  if (now.locked && status.state !== 'not_connected') return 'locked';
  return status.state in stateWords ? (status.state as State) : 'not_connected';
}

/** "Epic" where the EHR is Epic, else the registration's own name. */
export function serverName(registration: Pick<Registration, 'ehr' | 'name'>): string {
  return registration.ehr === 'epic' ? 'Epic' : registration.name;
}

export function parseTime(value: unknown): Date | undefined {
  if (typeof value !== 'string' || value === '') return undefined;
  const time = new Date(value);
  // Go's zero time stands for "not set".
  if (Number.isNaN(time.getTime()) || time.getUTCFullYear() <= 1) return undefined;
  return time;
}

const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });
const withZone = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long' });
const clockTime = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' });
// Words, unlike dates, are in the language of the page around them.
const relativeWords = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' });

export const dateTime = (time: Date): string => full.format(time);
export const dateTimeWithZone = (time: Date): string => withZone.format(time);
export const timeOfDay = (time: Date): string => clockTime.format(time);

const units: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 365 * 86_400],
  ['month', 30 * 86_400],
  ['day', 86_400],
  ['hour', 3_600],
  ['minute', 60],
];

/** "in 42 min.", "3 days ago", in the largest unit that fits. */
export function relative(time: Date, now: number): string {
  const distance = (time.getTime() - now) / 1000;
  for (const [unit, length] of units) {
    if (Math.abs(distance) >= length) return relativeWords.format(Math.trunc(distance / length), unit);
  }
  return distance >= 0 ? 'in under 1 min.' : 'just now';
}

/** Time left as minutes and seconds, never below zero. */
export function timeLeft(until: Date, now: number): string {
  const left = Math.max(0, Math.ceil((until.getTime() - now) / 1000));
  return `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`;
}

export function milliseconds(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function hostOf(url: string): string {
  try {
    return new URL(url).host;
  } catch {
    return url;
  }
}

/** "Practitioner/abc" from a reference that may be a whole URL. */
export function reference(ref: string): string {
  return ref.split('/').filter(Boolean).slice(-2).join('/');
}

export type Person = { name: string; ref: string };

/** Whose access it is: the user who signed in, else the patient. The name is the reference where none is known. */
export function whose(status: Pick<Status, 'fhir_user' | 'user_name' | 'patient' | 'patient_name'>): Person | undefined {
  return userOf(status) ?? patientOf(status);
}

export function userOf(status: Pick<Status, 'fhir_user' | 'user_name'>): Person | undefined {
  return status.fhir_user ? person(reference(status.fhir_user), status.user_name) : undefined;
}

export function patientOf(status: Pick<Status, 'patient' | 'patient_name'>): Person | undefined {
  return status.patient ? person(patientPath(status.patient), status.patient_name) : undefined;
}

function person(ref: string, name: string | undefined): Person {
  return { name: name || ref, ref };
}

/** The path that reads a patient whose ID the EHR told. */
export const patientPath = (id: string): string => (id.includes('/') ? reference(id) : `Patient/${id}`);

/** What to say of a vault that is not open. Asking for its passphrase is this window's own way, so the words are its own too. */
export function vaultWords(vault: Pick<VaultStatus, 'state' | 'protection' | 'advice' | 'error'>): { what: string; todo: string } {
  if (vault.state === 'none') return { what: 'The vault has no key yet.', todo: vault.advice };
  if (vault.protection === 'passphrase') return { what: 'The vault is locked.', todo: 'Enter its passphrase to connect, test or read.' };
  return { what: vault.error?.message ?? 'The vault is locked.', todo: vault.advice };
}

export const clientTypeWords: Record<string, string> = {
  public: 'Public',
  'confidential-symmetric': 'Confidential, with a client secret',
  'confidential-asymmetric': 'Confidential, with a key pair',
};

export const roleWords: Record<string, string> = { clinician: 'Clinician', admin: 'Admin' };

export const environmentWords: Record<string, string> = { sandbox: 'Sandbox', production: 'Production' };
export const ehrWords: Record<string, string> = { epic: 'Epic', other: 'Other' };
export const audienceWords: Record<string, string> = { patient: 'Patient', provider: 'Provider' };

/** Words as the options of a choice. */
export const optionsOf = (words: Record<string, string>): { value: string; label: string }[] => Object.entries(words).map(([value, label]) => ({ value, label }));

/** Scopes as typed, separated by any white space. */
export const splitScopes = (text: string): string[] => text.split(/\s+/).filter(Boolean);
