// The one door to Go: bound methods, their types, and events. Nothing else imports the generated bindings.
import * as app from '../../wailsjs/go/main/App';
import type { audit, fault, session, simulator, smart, workstation } from '../../wailsjs/go/models';
import { EventsOn } from '../../wailsjs/runtime/runtime';

export { app };
export type AuditResult = audit.Result;
export type Fault = fault.Error;
export type ActivityLine = session.ActivityLine;
export type Connection = session.Connection;
export type Exploration = session.Exploration;
export type LaunchesPage = session.LaunchesPage;
export type LaunchRow = session.LaunchRow;
export type Overview = session.Overview;
export type RegistrationPage = session.RegistrationPage;
export type SeatPage = session.SeatPage;
export type SandboxControls = session.SandboxControls;
export type SandboxStatus = session.SandboxStatus;
export type SandboxSwitch = session.SandboxSwitch;
export type FHIRContextItem = simulator.FHIRContextItem;
export type LaunchChoices = simulator.LaunchChoices;
export type LaunchRequest = simulator.LaunchRequest;
export type Check = workstation.Check;
export type Disconnection = workstation.Disconnection;
export type FieldProblem = workstation.FieldProblem;
export type Issuer = workstation.Issuer;
export type Kit = workstation.Kit;
export type LaunchDetails = workstation.LaunchDetails;
export type LoginInfo = workstation.LoginInfo;
export type OtherAccount = workstation.OtherAccount;
export type Policy = workstation.Policy;
export type Profile = workstation.Profile;
export type Registration = workstation.Registration;
export type RegistrationInput = workstation.RegistrationInput;
export type Status = workstation.Status;
export type TestReport = workstation.TestReport;
export type VaultStatus = workstation.VaultStatus;
/** What a server's discovery says of it. */
export type ServerConfiguration = smart.Configuration;

/** A problem as Go tells it, with the fields of a form that it belongs to. */
export type Refusal = Fault & { fields: FieldProblem[] };

export type ConnectPhase = 'waiting' | 'connected' | 'failed' | 'cancelled';

/** What each event carries. "changed", "launches" and "sandbox" carry nothing: they ask to read again. "failed" tells of work in the background. */
export type Events = {
  changed: undefined;
  launches: undefined;
  sandbox: undefined;
  failed: Fault;
  /** Says why. What is shown is to be dropped. */
  locked: { why: string };
  test: {
    registration_id: string;
    /** Counts the tests of this window. Events can overtake each other: a check of a run that has ended is late. */
    run: number;
    check: Check | null;
    report: TestReport | null;
    error: Fault | null;
    done: boolean;
  };
  connect: {
    login_id: string;
    registration_id: string;
    phase: ConnectPhase;
    status: Status | null;
    error: Fault | null;
  };
};

/** Listens to an event until the returned function is called. */
export function on<Name extends keyof Events>(name: Name, handle: (event: Events[Name]) => void): () => void {
  return EventsOn(name, handle);
}

/**
 * Whatever a bound method rejected with, in one form. Wails wraps what Go's error formatter gives into an Error, which can
 * carry a string alone: there the fault is JSON in the message.
 */
export function asRefusal(reason: unknown): Refusal {
  const r = told(reason);
  return {
    code: r.code ?? 'unknown',
    message: r.message ?? 'Something went wrong that Chartkey has no words for.',
    advice: r.advice ?? '',
    retryable: r.retryable ?? false,
    fields: r.fields ?? [],
  };
}

function told(reason: unknown): Partial<Refusal> {
  if (typeof reason === 'string') {
    try {
      const parsed: unknown = JSON.parse(reason);
      if (typeof parsed === 'object' && parsed !== null) return parsed;
    } catch {
      // No fault of ours: Wails's own words, for example of a method that is not bound.
    }
    return { message: reason };
  }
  if (reason instanceof Error) return told(reason.message);
  return typeof reason === 'object' && reason !== null ? reason : {};
}
