import { describe, expect, it } from 'vitest';
import { parseTime, patientOf, reference, relative, serverName, shownState, splitScopes, timeLeft, userOf, whose } from './format';

const now = Date.parse('2026-03-01T12:00:00Z');
const at = (text: string) => new Date(text);

describe('the state that is shown', () => {
  it.each([
    ['connected', {}, 'connected'],
    ['connected', { connecting: true, testing: true, locked: true }, 'connecting'],
    ['not_connected', { testing: true }, 'testing'],
    ['expired', { locked: true }, 'locked'],
    ['not_connected', { locked: true }, 'not_connected'],
    ['needs_reconnect', {}, 'needs_reconnect'],
  ])('%s with %o is %s', (state, going, shown) => {
    expect(shownState({ state }, going)).toBe(shown);
  });
});

describe('times', () => {
  it.each([
    ['2026-03-01T12:42:00Z', 'in 42 min.'],
    ['2026-03-01T12:00:20Z', 'in under 1 min.'],
    ['2026-03-01T11:59:50Z', 'just now'],
    ['2026-02-28T12:00:00Z', 'yesterday'],
  ])('%s reads as %s', (time, words) => {
    expect(relative(at(time), now)).toBe(words);
  });

  it('counts down to nothing and no further', () => {
    expect(timeLeft(at('2026-03-01T12:09:05Z'), now)).toBe('9:05');
    expect(timeLeft(at('2026-03-01T11:00:00Z'), now)).toBe('0:00');
  });

  it.each([undefined, null, '', 'soon', '0001-01-01T00:00:00Z'])('takes %s for no time', (value) => {
    expect(parseTime(value)).toBeUndefined();
  });
});

describe('who', () => {
  it('prefers the user who signed in, by name', () => {
    const status = { fhir_user: 'https://ehr.example/fhir/Practitioner/p1', user_name: 'Ada Ng', patient: '7', patient_name: 'Bo Li' };
    expect(whose(status)).toEqual({ name: 'Ada Ng', ref: 'Practitioner/p1' });
    expect(patientOf(status)).toEqual({ name: 'Bo Li', ref: 'Patient/7' });
  });

  it('falls back to the reference, and to nobody', () => {
    expect(whose({ patient: '7' })).toEqual({ name: 'Patient/7', ref: 'Patient/7' });
    expect(userOf({})).toBeUndefined();
    expect(whose({})).toBeUndefined();
  });

  it('keeps a relative reference as it is', () => {
    expect(reference('Patient/7')).toBe('Patient/7');
  });
});

it('calls the server Epic only where it is', () => {
  expect(serverName({ ehr: 'epic', name: 'St. Agnes' })).toBe('Epic');
  expect(serverName({ ehr: 'other', name: 'Cedar Valley' })).toBe('Cedar Valley');
});

it('splits scopes at any white space', () => {
  expect(splitScopes(' openid\n fhirUser\tlaunch/patient  ')).toEqual(['openid', 'fhirUser', 'launch/patient']);
});
