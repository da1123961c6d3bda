import { describe, expect, it } from 'vitest';
import { matching, outcomeMarks, pagesOf, verdict } from './activity';
import type { ActivityLine, AuditResult } from './bridge';

const line = (changes: Partial<ActivityLine>) =>
  ({ words: 'Read Patient', profile_name: 'dr.okafor', registration_name: 'General', patient: 'Patient/7', outcome: 'done', origin: 'window', ...changes }) as ActivityLine;

describe('what is looked for in the record', () => {
  const lines = [line({}), line({ words: 'Connected', outcome: 'failed', fault: 'cancelled' }), line({ profile_name: 'owner', patient: undefined, outcome: 'started' })];

  it.each([
    ['', '', 3],
    ['OKAFOR', '', 2],
    ['okafor read', '', 1],
    ['patient/7', '', 2],
    ['cancelled', '', 1],
    ['general', 'failed', 1],
    ['', 'started', 1],
    ['nobody', '', 0],
  ])('%j with outcome %j fits %i', (text, outcome, n) => {
    expect(matching(lines, text, outcome)).toHaveLength(n);
  });

  it('has a word for each outcome', () => {
    expect(Object.keys(outcomeMarks)).toEqual(['done', 'failed', 'started']);
  });
});

it('pages what is long, and has one page of nothing', () => {
  expect(pagesOf([])).toEqual([[]]);
  expect(pagesOf(Array.from({ length: 100 }, (_, i) => i))).toHaveLength(1);
  const pages = pagesOf(Array.from({ length: 201 }, (_, i) => i));
  expect(pages.map((p) => p.length)).toEqual([100, 100, 1]);
  expect(pages.flat()).toHaveLength(201);
});

describe('what a check found', () => {
  it('says plainly that the record is whole', () => {
    expect(verdict({ entries: 1 } as AuditResult)).toEqual({ kind: 'good', word: 'The record is whole', text: 'Nothing was changed, removed or added. 1 entry was checked.' });
  });

  it('says what is wrong where it is not', () => {
    const found = verdict({ entries: 3, bad: 4, problem: 'Entry 4 was changed.' } as AuditResult);
    expect(found.kind).toBe('bad');
    expect(found.text).toBe('Entry 4 was changed. 3 entries were checked before that was found.');
  });
});
