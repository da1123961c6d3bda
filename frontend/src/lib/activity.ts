// What is shown of the activity record: which of it, and in which words.
import type { ActivityLine, AuditResult } from './bridge';
import type { MarkKind } from './launches';

/** How an action ended. One that was started and has no end is under way, or its process died. */
export const outcomeMarks: Record<string, { word: string; kind: MarkKind }> = {
  done: { word: 'Done', kind: 'good' },
  failed: { word: 'Failed', kind: 'bad' },
  started: { word: 'No end', kind: 'ask' },
};

/** The lines with an outcome ('' is any) that have every word of a text. */
export function matching(lines: ActivityLine[], text: string, outcome: string): ActivityLine[] {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return lines.filter((l) => {
    if (outcome && l.outcome !== outcome) return false;
    const hay = [l.words, l.profile_name, l.role, l.registration_name, l.server, l.patient, l.fault, l.origin].join(' ').toLowerCase();
    return words.every((word) => hay.includes(word));
  });
}

const SHOWN = 100;

/** Pages of what would be too long a list; one empty page of nothing. */
export function pagesOf<T>(all: T[]): T[][] {
  const pages: T[][] = [];
  for (let i = 0; i === 0 || i < all.length; i += SHOWN) pages.push(all.slice(i, i + SHOWN));
  return pages;
}

/** What a check of the whole record found. */
export function verdict(found: AuditResult): { kind: MarkKind; word: string; text: string } {
  const n = found.entries === 1 ? '1 entry was checked' : `${found.entries} entries were checked`;
  if (found.problem) return { kind: 'bad', word: 'The record is not whole', text: `${found.problem} ${n} before that was found.` };
  return { kind: 'good', word: 'The record is whole', text: `Nothing was changed, removed or added. ${n}.` };
}
