// Words for EHR launches, and what is new about them.
import type { LaunchesPage, LaunchDetails, LaunchRow, Status } from './bridge';
import { hostOf, patientOf, userOf } from './format';

/** What a mark shows: each has a shape and a colour of its own. */
export type MarkKind = 'good' | 'bad' | 'warn' | 'busy' | 'off' | 'ask' | 'sent';

type Word = { word: string; kind: MarkKind };

export const decisionWords: Record<string, Word> = {
  authorize: { word: 'Sent to sign in', kind: 'sent' },
  pending: { word: 'Held back', kind: 'ask' },
  refused: { word: 'Refused', kind: 'bad' },
};

export const outcomeWords: Record<string, Word> = {
  waiting: { word: 'At the EHR', kind: 'busy' },
  connected: { word: 'Connected', kind: 'good' },
  failed: { word: 'Failed', kind: 'warn' },
};

export const issuerWords: Record<string, Word> = {
  approved: { word: 'Approved', kind: 'good' },
  refused: { word: 'Refused', kind: 'bad' },
};

/** The listener, which can fail to be on. */
export function listenerWord(page: Pick<LaunchesPage, 'settings' | 'listening'>): Word {
  if (page.listening) return { word: 'Listening', kind: 'good' };
  return page.settings.on ? { word: 'Not listening', kind: 'warn' } : { word: 'Listener off', kind: 'off' };
}

/** Who launched with which patient: "Dr Maya Okafor with patient Daniel Whitlock". */
export function launchedBy(status: Pick<Status, 'fhir_user' | 'user_name' | 'patient' | 'patient_name'>): string {
  const user = userOf(status)?.name ?? 'a user whom the EHR does not name';
  const patient = patientOf(status);
  return patient ? `${user} with patient ${patient.name}` : `${user} without a patient`;
}

export function bannerWords(need: LaunchDetails['need_patient_banner']): string {
  if (need === undefined || need === null) return 'Not told by the EHR';
  return need ? 'Needed: the app shows who the patient is' : 'Not needed: the EHR shows it around the app';
}

/** One entry of fhirContext as what it points to and the role that it plays. */
export function contextItem(item: NonNullable<LaunchDetails['fhir_context']>[number]): { what: string; role: string } {
  // An identifier is an object of FHIR's; the bindings know it as bytes.
  const identifier = item.identifier ? JSON.stringify(item.identifier) : '';
  return {
    what: [item.type, item.reference || item.canonical || identifier].filter(Boolean).join(' '),
    role: item.role && item.role !== 'launch' ? item.role : '',
  };
}

/** What waits for a person: issuers without a decision, and connections that no person started. */
export function waitingOf(page: Pick<LaunchesPage, 'issuers' | 'connections'>) {
  return {
    issuers: (page.issuers ?? []).filter((i) => i.decision === 'pending'),
    connections: (page.connections ?? []).filter((c) => !c.accepted),
  };
}

/**
 * Whether two base URLs are of the same server, for what the page shows beside an issuer. What a launch really uses is
 * decided in Go.
 */
export function sameServer(a: string, b: string): boolean {
  try {
    const [one, other] = [new URL(a), new URL(b)];
    return one.origin === other.origin && one.pathname.replace(/\/$/, '') === other.pathname.replace(/\/$/, '');
  } catch {
    return false;
  }
}

/** What to read out of the difference between two readings; undefined where nothing is new. */
export function launchNews(before: LaunchesPage, after: LaunchesPage): string | undefined {
  const known = new Map((before.launches ?? []).map((row) => [row.id, row]));
  const news = (after.launches ?? []).flatMap((row) => {
    const old = known.get(row.id);
    if (old && old.outcome === row.outcome) return [];
    return [old || row.outcome === 'connected' || row.outcome === 'failed' ? ended(row, after) : begun(row)];
  });
  if (news.length > 3) return `${news.length} launches have news`;
  return news.length > 0 ? news.reverse().join(' ') : undefined;
}

function begun(row: LaunchRow): string {
  const from = `Launch from ${hostOf(row.iss)}`;
  if (row.decision === 'pending') return `${from} waits for a decision.`;
  if (row.decision === 'refused') return `${from} was refused. ${row.reason}`;
  return `${from} was sent to sign in.`;
}

function ended(row: LaunchRow, page: LaunchesPage): string {
  const from = `Launch from ${hostOf(row.iss)}`;
  if (row.outcome === 'failed') return `${from} failed. ${row.error?.message ?? ''}`.trim();
  const connection = (page.connections ?? []).find((c) => c.connection_id === row.connection_id);
  if (connection && !connection.accepted) return `${from} connected and waits to be accepted.`;
  const patient = connection && patientOf(connection);
  return `${from} connected${patient ? `, patient ${patient.name}` : ''}.`;
}
