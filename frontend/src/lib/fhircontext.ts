import type { FHIRContextItem } from './bridge';

/**
 * fhirContext as one types it: an entry a line, a reference such as ImagingStudy/7 or a canonical URL, and after a space its
 * role. Go tells what is wrong with an entry.
 */
export function parseFHIRContext(text: string): FHIRContextItem[] {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([what]) => what)
    .map(([what = '', ...role]) => ({
      ...(/^[a-z]+:/i.test(what) && !/\/[A-Z][A-Za-z]+\/[A-Za-z0-9.-]+$/.test(what) ? { canonical: what } : { reference: what }),
      ...(role.length > 0 ? { role: role.join(' ') } : {}),
    }));
}
