import { describe, expect, it } from 'vitest';
import type { LaunchesPage, LaunchRow, Status } from './bridge';
import { bannerWords, contextItem, launchedBy, launchNews, listenerWord, sameServer, waitingOf } from './launches';

const row = (changes: Partial<LaunchRow>) =>
  ({ id: '1', at: '', iss: 'https://ehr.example/fhir', decision: 'authorize', reason: 'Known.', outcome: 'waiting', connection_id: '', ...changes }) as LaunchRow;

const page = (changes: Partial<LaunchesPage>) =>
  ({ settings: { on: true, url: '' }, listening: true, launches: [], connections: [], issuers: [], ...changes }) as LaunchesPage;

const connection = (changes: Partial<Status>) =>
  ({ connection_id: 'c1', accepted: true, patient: 'p1', patient_name: 'Ada Example', user_name: 'Dr Roe', fhir_user: 'Practitioner/roe', ...changes }) as Status;

describe('news of launches', () => {
  it.each([
    [row({ decision: 'pending', outcome: '' }), 'Launch from ehr.example waits for a decision.'],
    [row({ decision: 'refused', outcome: '', reason: 'Too many.' }), 'Launch from ehr.example was refused. Too many.'],
    [row({}), 'Launch from ehr.example was sent to sign in.'],
  ])('tells a launch that came in', (came, said) => {
    expect(launchNews(page({}), page({ launches: [came] }))).toBe(said);
  });

  it('tells how a launch ended, and whose it is', () => {
    const before = page({ launches: [row({})] });
    const done = page({ launches: [row({ outcome: 'connected', connection_id: 'c1' })], connections: [connection({})] });
    expect(launchNews(before, done)).toBe('Launch from ehr.example connected, patient Ada Example.');
    expect(launchNews(done, done)).toBeUndefined();
    const unattended = page({ ...done, connections: [connection({ accepted: false })] });
    expect(launchNews(before, unattended)).toBe('Launch from ehr.example connected and waits to be accepted.');
    const failed = page({ launches: [row({ outcome: 'failed', error: { code: 'x', message: 'No answer.', advice: '', retryable: true } })] });
    expect(launchNews(before, failed)).toBe('Launch from ehr.example failed. No answer.');
  });

  it('tells a flood by its number', () => {
    const flood = Array.from({ length: 40 }, (_, i) => row({ id: String(i) }));
    expect(launchNews(page({}), page({ launches: flood }))).toBe('40 launches have news');
  });
});

it('finds what waits for a person', () => {
  const pending = { issuer: 'a', decision: 'pending' };
  const waits = waitingOf(page({ issuers: [pending, { issuer: 'b', decision: 'refused' }] as never, connections: [connection({}), connection({ accepted: false })] }));
  expect(waits.issuers).toEqual([pending]);
  expect(waits.connections).toHaveLength(1);
});

it('compares base URLs as a person would', () => {
  expect(sameServer('https://EHR.example:443/fhir/', 'https://ehr.example/fhir')).toBe(true);
  expect(sameServer('https://ehr.example/FHIR', 'https://ehr.example/fhir')).toBe(false);
  expect(sameServer('http://ehr.example/fhir', 'https://ehr.example/fhir')).toBe(false);
  expect(sameServer('no address', 'no address')).toBe(false);
});

it('has a word for each state of the listener', () => {
  expect(listenerWord({ settings: { on: false, url: '' }, listening: false }).word).toBe('Listener off');
  expect(listenerWord({ settings: { on: true, url: '' }, listening: true }).word).toBe('Listening');
  expect(listenerWord({ settings: { on: true, url: '' }, listening: false }).word).toBe('Not listening');
});

it('says who launched with whom', () => {
  expect(launchedBy(connection({}))).toBe('Dr Roe with patient Ada Example');
  expect(launchedBy({ patient: 'p1' } as Status)).toBe('a user whom the EHR does not name with patient Patient/p1');
  expect(launchedBy({ fhir_user: 'Practitioner/roe' } as Status)).toBe('Practitioner/roe without a patient');
});

it('reads what the EHR told of the banner and of fhirContext', () => {
  expect(bannerWords(undefined)).toBe('Not told by the EHR');
  expect(bannerWords(false)).toMatch(/^Not needed/);
  expect(bannerWords(true)).toMatch(/^Needed/);
  expect(contextItem({ reference: 'Task/1', role: 'launch' })).toEqual({ what: 'Task/1', role: '' });
  expect(contextItem({ canonical: 'https://x.example/q|1', type: 'Questionnaire', role: 'fill' })).toEqual({ what: 'Questionnaire https://x.example/q|1', role: 'fill' });
  expect(contextItem({ identifier: { value: '7' } as never, role: 'launch' }).what).toBe('{"value":"7"}');
});
