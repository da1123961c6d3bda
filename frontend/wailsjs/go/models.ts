export namespace audit {
	
	export class Anchor {
	    Seq: number;
	    MAC: string;
	
	    static createFrom(source: any = {}) {
	        return new Anchor(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.Seq = source["Seq"];
	        this.MAC = source["MAC"];
	    }
	}
	export class Result {
	    bad: number;
	    problem: string;
	    first: number;
	    last: number;
	    entries: number;
	    unkeyed: number;
	    unsealed: number;
	    removed: number;
	    damaged_to: number;
	    damaged_at: string;
	    anchor: string;
	
	    static createFrom(source: any = {}) {
	        return new Result(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.bad = source["bad"];
	        this.problem = source["problem"];
	        this.first = source["first"];
	        this.last = source["last"];
	        this.entries = source["entries"];
	        this.unkeyed = source["unkeyed"];
	        this.unsealed = source["unsealed"];
	        this.removed = source["removed"];
	        this.damaged_to = source["damaged_to"];
	        this.damaged_at = source["damaged_at"];
	        this.anchor = source["anchor"];
	    }
	}

}

export namespace fault {
	
	export class Error {
	    code: string;
	    message: string;
	    advice: string;
	    retryable: boolean;
	
	    static createFrom(source: any = {}) {
	        return new Error(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.code = source["code"];
	        this.message = source["message"];
	        this.advice = source["advice"];
	        this.retryable = source["retryable"];
	    }
	}

}

export namespace fhir {
	
	export class Field {
	    label: string;
	    value: string;
	
	    static createFrom(source: any = {}) {
	        return new Field(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.label = source["label"];
	        this.value = source["value"];
	    }
	}
	export class Summary {
	    resource_type: string;
	    id?: string;
	    title: string;
	    lines?: Field[];
	
	    static createFrom(source: any = {}) {
	        return new Summary(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.resource_type = source["resource_type"];
	        this.id = source["id"];
	        this.title = source["title"];
	        this.lines = this.convertValues(source["lines"], Field);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}

}

export namespace localca {
	
	export class Instruction {
	    for: string;
	    trust: string[];
	    remove: string[];
	    administrator: boolean;
	    note: string;
	
	    static createFrom(source: any = {}) {
	        return new Instruction(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.for = source["for"];
	        this.trust = source["trust"];
	        this.remove = source["remove"];
	        this.administrator = source["administrator"];
	        this.note = source["note"];
	    }
	}

}

export namespace main {
	
	export class AboutInfo {
	    version: string;
	    commit: string;
	    tags: string[];
	    go: string;
	    data_folder: string;
	
	    static createFrom(source: any = {}) {
	        return new AboutInfo(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.version = source["version"];
	        this.commit = source["commit"];
	        this.tags = source["tags"];
	        this.go = source["go"];
	        this.data_folder = source["data_folder"];
	    }
	}

}

export namespace network {
	
	export class CertificateInfo {
	    subject: string;
	    issuer: string;
	    not_before: string;
	    not_after: string;
	    fingerprint: string;
	
	    static createFrom(source: any = {}) {
	        return new CertificateInfo(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.subject = source["subject"];
	        this.issuer = source["issuer"];
	        this.not_before = source["not_before"];
	        this.not_after = source["not_after"];
	        this.fingerprint = source["fingerprint"];
	    }
	}

}

export namespace scope {
	
	export class Difference {
	    less: string[];
	    more: string[];
	    alike: string[];
	
	    static createFrom(source: any = {}) {
	        return new Difference(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.less = source["less"];
	        this.more = source["more"];
	        this.alike = source["alike"];
	    }
	}

}

export namespace session {
	
	export class ActivityLine {
	    seq: number;
	    at: string;
	    profile_id: string;
	    profile_name: string;
	    role: string;
	    action: string;
	    detail: string;
	    phase: string;
	    ref: number;
	    registration_id: string;
	    registration_name: string;
	    server: string;
	    client_id: string;
	    resource: string;
	    subject: string;
	    fault: string;
	    origin: string;
	    patient: string;
	    unkeyed: boolean;
	    ended_at: string;
	    end_seq: number;
	    words: string;
	    outcome: string;
	
	    static createFrom(source: any = {}) {
	        return new ActivityLine(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.seq = source["seq"];
	        this.at = source["at"];
	        this.profile_id = source["profile_id"];
	        this.profile_name = source["profile_name"];
	        this.role = source["role"];
	        this.action = source["action"];
	        this.detail = source["detail"];
	        this.phase = source["phase"];
	        this.ref = source["ref"];
	        this.registration_id = source["registration_id"];
	        this.registration_name = source["registration_name"];
	        this.server = source["server"];
	        this.client_id = source["client_id"];
	        this.resource = source["resource"];
	        this.subject = source["subject"];
	        this.fault = source["fault"];
	        this.origin = source["origin"];
	        this.patient = source["patient"];
	        this.unkeyed = source["unkeyed"];
	        this.ended_at = source["ended_at"];
	        this.end_seq = source["end_seq"];
	        this.words = source["words"];
	        this.outcome = source["outcome"];
	    }
	}
	export class ActivityPage {
	    activities: ActivityLine[];
	    verified: audit.Result;
	    notices: string[];
	    policy: workstation.Policy;
	
	    static createFrom(source: any = {}) {
	        return new ActivityPage(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.activities = this.convertValues(source["activities"], ActivityLine);
	        this.verified = this.convertValues(source["verified"], audit.Result);
	        this.notices = source["notices"];
	        this.policy = this.convertValues(source["policy"], workstation.Policy);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class ConnectEvent {
	    login_id: string;
	    registration_id: string;
	    phase: string;
	    status?: workstation.Status;
	    error?: fault.Error;
	
	    static createFrom(source: any = {}) {
	        return new ConnectEvent(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.login_id = source["login_id"];
	        this.registration_id = source["registration_id"];
	        this.phase = source["phase"];
	        this.status = this.convertValues(source["status"], workstation.Status);
	        this.error = this.convertValues(source["error"], fault.Error);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class Connection {
	    registration: workstation.Registration;
	    status: workstation.Status;
	    connecting?: workstation.LoginInfo;
	    testing: boolean;
	
	    static createFrom(source: any = {}) {
	        return new Connection(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.registration = this.convertValues(source["registration"], workstation.Registration);
	        this.status = this.convertValues(source["status"], workstation.Status);
	        this.connecting = this.convertValues(source["connecting"], workstation.LoginInfo);
	        this.testing = source["testing"];
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class PageFault {
	    code: string;
	    message: string;
	    advice: string;
	    retryable: boolean;
	    fields?: workstation.FieldProblem[];
	
	    static createFrom(source: any = {}) {
	        return new PageFault(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.code = source["code"];
	        this.message = source["message"];
	        this.advice = source["advice"];
	        this.retryable = source["retryable"];
	        this.fields = this.convertValues(source["fields"], workstation.FieldProblem);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class TestEvent {
	    registration_id: string;
	    run: number;
	    check?: workstation.Check;
	    report?: workstation.TestReport;
	    error?: fault.Error;
	    done: boolean;
	
	    static createFrom(source: any = {}) {
	        return new TestEvent(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.registration_id = source["registration_id"];
	        this.run = source["run"];
	        this.check = this.convertValues(source["check"], workstation.Check);
	        this.report = this.convertValues(source["report"], workstation.TestReport);
	        this.error = this.convertValues(source["error"], fault.Error);
	        this.done = source["done"];
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class LockEvent {
	    why: string;
	
	    static createFrom(source: any = {}) {
	        return new LockEvent(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.why = source["why"];
	    }
	}
	export class EventTypes {
	    locked: LockEvent;
	    test: TestEvent;
	    connect: ConnectEvent;
	    failed: PageFault;
	    exchange: trace.Exchange;
	    note: trace.Note;
	
	    static createFrom(source: any = {}) {
	        return new EventTypes(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.locked = this.convertValues(source["locked"], LockEvent);
	        this.test = this.convertValues(source["test"], TestEvent);
	        this.connect = this.convertValues(source["connect"], ConnectEvent);
	        this.failed = this.convertValues(source["failed"], PageFault);
	        this.exchange = this.convertValues(source["exchange"], trace.Exchange);
	        this.note = this.convertValues(source["note"], trace.Note);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class Exploration {
	    summary: fhir.Summary;
	    json: string;
	
	    static createFrom(source: any = {}) {
	        return new Exploration(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.summary = this.convertValues(source["summary"], fhir.Summary);
	        this.json = source["json"];
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class LaunchRow {
	    id: string;
	    at: string;
	    iss: string;
	    registration?: string;
	    registration_id?: string;
	    decision: string;
	    reason: string;
	    outcome: string;
	    connection_id: string;
	    error?: fault.Error;
	
	    static createFrom(source: any = {}) {
	        return new LaunchRow(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.id = source["id"];
	        this.at = source["at"];
	        this.iss = source["iss"];
	        this.registration = source["registration"];
	        this.registration_id = source["registration_id"];
	        this.decision = source["decision"];
	        this.reason = source["reason"];
	        this.outcome = source["outcome"];
	        this.connection_id = source["connection_id"];
	        this.error = this.convertValues(source["error"], fault.Error);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class LaunchesPage {
	    settings: workstation.LaunchSettings;
	    listening: boolean;
	    error?: fault.Error;
	    launches: LaunchRow[];
	    connections: workstation.Status[];
	    issuers: workstation.Issuer[];
	
	    static createFrom(source: any = {}) {
	        return new LaunchesPage(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.settings = this.convertValues(source["settings"], workstation.LaunchSettings);
	        this.listening = source["listening"];
	        this.error = this.convertValues(source["error"], fault.Error);
	        this.launches = this.convertValues(source["launches"], LaunchRow);
	        this.connections = this.convertValues(source["connections"], workstation.Status);
	        this.issuers = this.convertValues(source["issuers"], workstation.Issuer);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	
	export class SandboxSignIn {
	    username: string;
	    password: string;
	    name: string;
	    role: string;
	
	    static createFrom(source: any = {}) {
	        return new SandboxSignIn(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.username = source["username"];
	        this.password = source["password"];
	        this.name = source["name"];
	        this.role = source["role"];
	    }
	}
	export class SandboxClient {
	    client_id: string;
	    client_type: string;
	    redirect_uris: string[];
	
	    static createFrom(source: any = {}) {
	        return new SandboxClient(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.client_id = source["client_id"];
	        this.client_type = source["client_type"];
	        this.redirect_uris = source["redirect_uris"];
	    }
	}
	export class SandboxStatus {
	    running: boolean;
	    fhir_base_url: string;
	    portal_url: string;
	    clients: SandboxClient[];
	    sign_ins: SandboxSignIn[];
	    requests: simulator.Request[];
	
	    static createFrom(source: any = {}) {
	        return new SandboxStatus(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.running = source["running"];
	        this.fhir_base_url = source["fhir_base_url"];
	        this.portal_url = source["portal_url"];
	        this.clients = this.convertValues(source["clients"], SandboxClient);
	        this.sign_ins = this.convertValues(source["sign_ins"], SandboxSignIn);
	        this.requests = this.convertValues(source["requests"], simulator.Request);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class Overview {
	    seat: workstation.SeatStatus;
	    connections: Connection[];
	    vault: workstation.VaultStatus;
	    sandbox: SandboxStatus;
	
	    static createFrom(source: any = {}) {
	        return new Overview(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.seat = this.convertValues(source["seat"], workstation.SeatStatus);
	        this.connections = this.convertValues(source["connections"], Connection);
	        this.vault = this.convertValues(source["vault"], workstation.VaultStatus);
	        this.sandbox = this.convertValues(source["sandbox"], SandboxStatus);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	
	export class RegistrationPage {
	    registration: workstation.Registration;
	    status: workstation.Status;
	    connecting?: workstation.LoginInfo;
	    testing: boolean;
	    kit: workstation.Kit;
	    report?: workstation.TestReport;
	
	    static createFrom(source: any = {}) {
	        return new RegistrationPage(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.registration = this.convertValues(source["registration"], workstation.Registration);
	        this.status = this.convertValues(source["status"], workstation.Status);
	        this.connecting = this.convertValues(source["connecting"], workstation.LoginInfo);
	        this.testing = source["testing"];
	        this.kit = this.convertValues(source["kit"], workstation.Kit);
	        this.report = this.convertValues(source["report"], workstation.TestReport);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	
	export class SandboxSwitch {
	    name: string;
	    sentence: string;
	    on: boolean;
	
	    static createFrom(source: any = {}) {
	        return new SandboxSwitch(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.name = source["name"];
	        this.sentence = source["sentence"];
	        this.on = source["on"];
	    }
	}
	export class SandboxControls {
	    profile: string;
	    traits: SandboxSwitch[];
	    faults: SandboxSwitch[];
	
	    static createFrom(source: any = {}) {
	        return new SandboxControls(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.profile = source["profile"];
	        this.traits = this.convertValues(source["traits"], SandboxSwitch);
	        this.faults = this.convertValues(source["faults"], SandboxSwitch);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	
	
	
	export class Saved {
	    registration: workstation.Registration;
	    problems: workstation.FieldProblem[];
	
	    static createFrom(source: any = {}) {
	        return new Saved(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.registration = this.convertValues(source["registration"], workstation.Registration);
	        this.problems = this.convertValues(source["problems"], workstation.FieldProblem);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class SeatPage {
	    seat: workstation.SeatStatus;
	    profiles: workstation.Profile[];
	    policy: workstation.Policy;
	    vault: workstation.VaultStatus;
	
	    static createFrom(source: any = {}) {
	        return new SeatPage(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.seat = this.convertValues(source["seat"], workstation.SeatStatus);
	        this.profiles = this.convertValues(source["profiles"], workstation.Profile);
	        this.policy = this.convertValues(source["policy"], workstation.Policy);
	        this.vault = this.convertValues(source["vault"], workstation.VaultStatus);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}

}

export namespace simulator {
	
	export class FHIRContextItem {
	    reference?: string;
	    canonical?: string;
	    identifier?: any;
	    type?: string;
	    role?: string;
	
	    static createFrom(source: any = {}) {
	        return new FHIRContextItem(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.reference = source["reference"];
	        this.canonical = source["canonical"];
	        this.identifier = source["identifier"];
	        this.type = source["type"];
	        this.role = source["role"];
	    }
	}
	export class LaunchOption {
	    value: string;
	    label: string;
	    selected: boolean;
	
	    static createFrom(source: any = {}) {
	        return new LaunchOption(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.value = source["value"];
	        this.label = source["label"];
	        this.selected = source["selected"];
	    }
	}
	export class LaunchChoices {
	    users: LaunchOption[];
	    patients: LaunchOption[];
	    encounters: LaunchOption[];
	    clients: LaunchOption[];
	    styles: LaunchOption[];
	    more: number;
	
	    static createFrom(source: any = {}) {
	        return new LaunchChoices(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.users = this.convertValues(source["users"], LaunchOption);
	        this.patients = this.convertValues(source["patients"], LaunchOption);
	        this.encounters = this.convertValues(source["encounters"], LaunchOption);
	        this.clients = this.convertValues(source["clients"], LaunchOption);
	        this.styles = this.convertValues(source["styles"], LaunchOption);
	        this.more = source["more"];
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	
	export class LaunchRequest {
	    user?: string;
	    patient?: string;
	    encounter?: string;
	    intent?: string;
	    fhir_context?: FHIRContextItem[];
	    client_id?: string;
	    launch_url?: string;
	    need_patient_banner?: boolean;
	    style?: string;
	    smart_style_url?: string;
	    tenant?: string;
	    skip_consent?: boolean;
	
	    static createFrom(source: any = {}) {
	        return new LaunchRequest(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.user = source["user"];
	        this.patient = source["patient"];
	        this.encounter = source["encounter"];
	        this.intent = source["intent"];
	        this.fhir_context = this.convertValues(source["fhir_context"], FHIRContextItem);
	        this.client_id = source["client_id"];
	        this.launch_url = source["launch_url"];
	        this.need_patient_banner = source["need_patient_banner"];
	        this.style = source["style"];
	        this.smart_style_url = source["smart_style_url"];
	        this.tenant = source["tenant"];
	        this.skip_consent = source["skip_consent"];
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class Request {
	    number: number;
	    at: string;
	    duration_ns: number;
	    method: string;
	    path: string;
	    query?: string;
	    status: number;
	    client_id?: string;
	    verdict?: string;
	
	    static createFrom(source: any = {}) {
	        return new Request(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.number = source["number"];
	        this.at = source["at"];
	        this.duration_ns = source["duration_ns"];
	        this.method = source["method"];
	        this.path = source["path"];
	        this.query = source["query"];
	        this.status = source["status"];
	        this.client_id = source["client_id"];
	        this.verdict = source["verdict"];
	    }
	}

}

export namespace smart {
	
	export class Configuration {
	    fhir_base_url: string;
	    issuer?: string;
	    authorization_endpoint: string;
	    token_endpoint: string;
	    jwks_uri?: string;
	    registration_endpoint?: string;
	    revocation_endpoint?: string;
	    introspection_endpoint?: string;
	    management_endpoint?: string;
	    capabilities?: string[];
	    scopes_supported?: string[];
	    grant_types_supported?: string[];
	    code_challenge_methods_supported?: string[];
	    token_endpoint_auth_methods_supported?: string[];
	    token_endpoint_auth_signing_alg_values_supported?: string[];
	    response_types_supported?: string[];
	    authorization_response_iss_parameter_supported?: boolean;
	    source: string;
	    // Go type: time
	    fetched_at: any;
	    // Go type: time
	    expires_at: any;
	    warnings?: string[];
	
	    static createFrom(source: any = {}) {
	        return new Configuration(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.fhir_base_url = source["fhir_base_url"];
	        this.issuer = source["issuer"];
	        this.authorization_endpoint = source["authorization_endpoint"];
	        this.token_endpoint = source["token_endpoint"];
	        this.jwks_uri = source["jwks_uri"];
	        this.registration_endpoint = source["registration_endpoint"];
	        this.revocation_endpoint = source["revocation_endpoint"];
	        this.introspection_endpoint = source["introspection_endpoint"];
	        this.management_endpoint = source["management_endpoint"];
	        this.capabilities = source["capabilities"];
	        this.scopes_supported = source["scopes_supported"];
	        this.grant_types_supported = source["grant_types_supported"];
	        this.code_challenge_methods_supported = source["code_challenge_methods_supported"];
	        this.token_endpoint_auth_methods_supported = source["token_endpoint_auth_methods_supported"];
	        this.token_endpoint_auth_signing_alg_values_supported = source["token_endpoint_auth_signing_alg_values_supported"];
	        this.response_types_supported = source["response_types_supported"];
	        this.authorization_response_iss_parameter_supported = source["authorization_response_iss_parameter_supported"];
	        this.source = source["source"];
	        this.fetched_at = this.convertValues(source["fetched_at"], null);
	        this.expires_at = this.convertValues(source["expires_at"], null);
	        this.warnings = source["warnings"];
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class FHIRContextItem {
	    reference?: string;
	    canonical?: string;
	    identifier?: number[];
	    type?: string;
	    role: string;
	
	    static createFrom(source: any = {}) {
	        return new FHIRContextItem(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.reference = source["reference"];
	        this.canonical = source["canonical"];
	        this.identifier = source["identifier"];
	        this.type = source["type"];
	        this.role = source["role"];
	    }
	}

}

export namespace trace {
	
	export class Arrow {
	    seq: number;
	    at: string;
	    from: string;
	    to: string;
	    label: string;
	    answer: boolean;
	    outcome: string;
	
	    static createFrom(source: any = {}) {
	        return new Arrow(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.seq = source["seq"];
	        this.at = source["at"];
	        this.from = source["from"];
	        this.to = source["to"];
	        this.label = source["label"];
	        this.answer = source["answer"];
	        this.outcome = source["outcome"];
	    }
	}
	export class Field {
	    name: string;
	    value: string;
	
	    static createFrom(source: any = {}) {
	        return new Field(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.name = source["name"];
	        this.value = source["value"];
	    }
	}
	export class Body {
	    media_type: string;
	    size: number;
	    text: string;
	    form: Field[];
	    left_out: string;
	
	    static createFrom(source: any = {}) {
	        return new Body(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.media_type = source["media_type"];
	        this.size = source["size"];
	        this.text = source["text"];
	        this.form = this.convertValues(source["form"], Field);
	        this.left_out = source["left_out"];
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class Claim {
	    name: string;
	    value: string;
	    meaning: string;
	
	    static createFrom(source: any = {}) {
	        return new Claim(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.name = source["name"];
	        this.value = source["value"];
	        this.meaning = source["meaning"];
	    }
	}
	export class JWT {
	    where: string;
	    mark: string;
	    header: Claim[];
	    claims: Claim[];
	    signature: string;
	
	    static createFrom(source: any = {}) {
	        return new JWT(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.where = source["where"];
	        this.mark = source["mark"];
	        this.header = this.convertValues(source["header"], Claim);
	        this.claims = this.convertValues(source["claims"], Claim);
	        this.signature = source["signature"];
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class TLS {
	    version: string;
	    cipher: string;
	    issuer: string;
	
	    static createFrom(source: any = {}) {
	        return new TLS(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.version = source["version"];
	        this.cipher = source["cipher"];
	        this.issuer = source["issuer"];
	    }
	}
	export class Message {
	    headers: Field[];
	    body: Body;
	
	    static createFrom(source: any = {}) {
	        return new Message(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.headers = this.convertValues(source["headers"], Field);
	        this.body = this.convertValues(source["body"], Body);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class Exchange {
	    seq: number;
	    at: string;
	    wait_ns: number;
	    duration_ns: number;
	    kind: string;
	    title: string;
	    server: string;
	    method: string;
	    url: string;
	    query: Field[];
	    protocol: string;
	    request: Message;
	    status: number;
	    response: Message;
	    error: string;
	    open: boolean;
	    tls?: TLS;
	    proxy: string;
	    reused: boolean;
	    jwts: JWT[];
	
	    static createFrom(source: any = {}) {
	        return new Exchange(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.seq = source["seq"];
	        this.at = source["at"];
	        this.wait_ns = source["wait_ns"];
	        this.duration_ns = source["duration_ns"];
	        this.kind = source["kind"];
	        this.title = source["title"];
	        this.server = source["server"];
	        this.method = source["method"];
	        this.url = source["url"];
	        this.query = this.convertValues(source["query"], Field);
	        this.protocol = source["protocol"];
	        this.request = this.convertValues(source["request"], Message);
	        this.status = source["status"];
	        this.response = this.convertValues(source["response"], Message);
	        this.error = source["error"];
	        this.open = source["open"];
	        this.tls = this.convertValues(source["tls"], TLS);
	        this.proxy = source["proxy"];
	        this.reused = source["reused"];
	        this.jwts = this.convertValues(source["jwts"], JWT);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	
	
	
	export class Note {
	    seq: number;
	    at: string;
	    step: string;
	    detail: string;
	    values: Field[];
	
	    static createFrom(source: any = {}) {
	        return new Note(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.seq = source["seq"];
	        this.at = source["at"];
	        this.step = source["step"];
	        this.detail = source["detail"];
	        this.values = this.convertValues(source["values"], Field);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}

}

export namespace workstation {
	
	export class BrowserStore {
	    kind: string;
	    folder: string;
	    trusted: boolean;
	    error?: fault.Error;
	
	    static createFrom(source: any = {}) {
	        return new BrowserStore(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.kind = source["kind"];
	        this.folder = source["folder"];
	        this.trusted = source["trusted"];
	        this.error = this.convertValues(source["error"], fault.Error);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class Check {
	    id: string;
	    layer: string;
	    title: string;
	    result: string;
	    detail: string;
	    advice: string;
	    duration_ms: number;
	
	    static createFrom(source: any = {}) {
	        return new Check(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.id = source["id"];
	        this.layer = source["layer"];
	        this.title = source["title"];
	        this.result = source["result"];
	        this.detail = source["detail"];
	        this.advice = source["advice"];
	        this.duration_ms = source["duration_ms"];
	    }
	}
	export class ClientKey {
	    kid: string;
	    alg: string;
	    kind: string;
	    signs: boolean;
	    created_at: string;
	
	    static createFrom(source: any = {}) {
	        return new ClientKey(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.kid = source["kid"];
	        this.alg = source["alg"];
	        this.kind = source["kind"];
	        this.signs = source["signs"];
	        this.created_at = source["created_at"];
	    }
	}
	export class Defaults {
	    fhir_base_url: string;
	    scopes: string[];
	    redirect_uris: string[];
	
	    static createFrom(source: any = {}) {
	        return new Defaults(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.fhir_base_url = source["fhir_base_url"];
	        this.scopes = source["scopes"];
	        this.redirect_uris = source["redirect_uris"];
	    }
	}
	export class LikelyCause {
	    id: string;
	    title: string;
	    likelihood: string;
	    score: number;
	    evidence: string[];
	    against: string[];
	    distinguish: string;
	    // Go type: diagnose
	    fix: any;
	    probe: string;
	    sources: string[];
	    button: string;
	
	    static createFrom(source: any = {}) {
	        return new LikelyCause(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.id = source["id"];
	        this.title = source["title"];
	        this.likelihood = source["likelihood"];
	        this.score = source["score"];
	        this.evidence = source["evidence"];
	        this.against = source["against"];
	        this.distinguish = source["distinguish"];
	        this.fix = this.convertValues(source["fix"], null);
	        this.probe = source["probe"];
	        this.sources = source["sources"];
	        this.button = source["button"];
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class Diagnosed {
	    registration_id: string;
	    at: string;
	    error?: fault.Error;
	    stage: string;
	    causes: LikelyCause[];
	    probed: string[];
	    askable: string[];
	
	    static createFrom(source: any = {}) {
	        return new Diagnosed(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.registration_id = source["registration_id"];
	        this.at = source["at"];
	        this.error = this.convertValues(source["error"], fault.Error);
	        this.stage = source["stage"];
	        this.causes = this.convertValues(source["causes"], LikelyCause);
	        this.probed = source["probed"];
	        this.askable = source["askable"];
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class OtherAccount {
	    connection_id: string;
	    fhir_user?: string;
	    user_name?: string;
	    patient?: string;
	    patient_name?: string;
	    connected_at: string;
	    last_user?: string;
	
	    static createFrom(source: any = {}) {
	        return new OtherAccount(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.connection_id = source["connection_id"];
	        this.fhir_user = source["fhir_user"];
	        this.user_name = source["user_name"];
	        this.patient = source["patient"];
	        this.patient_name = source["patient_name"];
	        this.connected_at = source["connected_at"];
	        this.last_user = source["last_user"];
	    }
	}
	export class LastTest {
	    at: string;
	    ok: boolean;
	    layer: string;
	
	    static createFrom(source: any = {}) {
	        return new LastTest(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.at = source["at"];
	        this.ok = source["ok"];
	        this.layer = source["layer"];
	    }
	}
	export class LaunchDetails {
	    intent: string;
	    need_patient_banner?: boolean;
	    smart_style_url: string;
	    tenant: string;
	    fhir_context: smart.FHIRContextItem[];
	    extra: any;
	
	    static createFrom(source: any = {}) {
	        return new LaunchDetails(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.intent = source["intent"];
	        this.need_patient_banner = source["need_patient_banner"];
	        this.smart_style_url = source["smart_style_url"];
	        this.tenant = source["tenant"];
	        this.fhir_context = this.convertValues(source["fhir_context"], smart.FHIRContextItem);
	        this.extra = source["extra"];
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class Status {
	    connection_id?: string;
	    registration_id: string;
	    registration_name: string;
	    user: string;
	    kind: string;
	    accepted: boolean;
	    launch?: LaunchDetails;
	    state: string;
	    access_expires_at?: string;
	    refreshable: boolean;
	    access_ends_at?: string;
	    access_ends_reason: string;
	    scopes_requested: string[];
	    scopes_granted: string[];
	    scopes_note: string;
	    patient?: string;
	    patient_name?: string;
	    encounter?: string;
	    fhir_user?: string;
	    user_name?: string;
	    identity_locked: boolean;
	    warnings: string[];
	    fhir_base_url: string;
	    connected_at?: string;
	    refreshed_at?: string;
	    last_test?: LastTest;
	    last_error?: fault.Error;
	    waiting?: OtherAccount;
	
	    static createFrom(source: any = {}) {
	        return new Status(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.connection_id = source["connection_id"];
	        this.registration_id = source["registration_id"];
	        this.registration_name = source["registration_name"];
	        this.user = source["user"];
	        this.kind = source["kind"];
	        this.accepted = source["accepted"];
	        this.launch = this.convertValues(source["launch"], LaunchDetails);
	        this.state = source["state"];
	        this.access_expires_at = source["access_expires_at"];
	        this.refreshable = source["refreshable"];
	        this.access_ends_at = source["access_ends_at"];
	        this.access_ends_reason = source["access_ends_reason"];
	        this.scopes_requested = source["scopes_requested"];
	        this.scopes_granted = source["scopes_granted"];
	        this.scopes_note = source["scopes_note"];
	        this.patient = source["patient"];
	        this.patient_name = source["patient_name"];
	        this.encounter = source["encounter"];
	        this.fhir_user = source["fhir_user"];
	        this.user_name = source["user_name"];
	        this.identity_locked = source["identity_locked"];
	        this.warnings = source["warnings"];
	        this.fhir_base_url = source["fhir_base_url"];
	        this.connected_at = source["connected_at"];
	        this.refreshed_at = source["refreshed_at"];
	        this.last_test = this.convertValues(source["last_test"], LastTest);
	        this.last_error = this.convertValues(source["last_error"], fault.Error);
	        this.waiting = this.convertValues(source["waiting"], OtherAccount);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class Disconnection {
	    revocation: string;
	    revoked: boolean;
	    message: string;
	    error?: fault.Error;
	    status: Status;
	
	    static createFrom(source: any = {}) {
	        return new Disconnection(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.revocation = source["revocation"];
	        this.revoked = source["revoked"];
	        this.message = source["message"];
	        this.error = this.convertValues(source["error"], fault.Error);
	        this.status = this.convertValues(source["status"], Status);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class FieldProblem {
	    field: string;
	    level: string;
	    message: string;
	    advice: string;
	
	    static createFrom(source: any = {}) {
	        return new FieldProblem(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.field = source["field"];
	        this.level = source["level"];
	        this.message = source["message"];
	        this.advice = source["advice"];
	    }
	}
	export class GrantedScope {
	    scope: string;
	    meaning: string;
	
	    static createFrom(source: any = {}) {
	        return new GrantedScope(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.scope = source["scope"];
	        this.meaning = source["meaning"];
	    }
	}
	export class GrantedScopes {
	    connection_id: string;
	    kind: string;
	    connected_at: string;
	    requested: string[];
	    granted: GrantedScope[];
	    difference: scope.Difference;
	
	    static createFrom(source: any = {}) {
	        return new GrantedScopes(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.connection_id = source["connection_id"];
	        this.kind = source["kind"];
	        this.connected_at = source["connected_at"];
	        this.requested = source["requested"];
	        this.granted = this.convertValues(source["granted"], GrantedScope);
	        this.difference = this.convertValues(source["difference"], scope.Difference);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class Issuer {
	    issuer: string;
	    received: string;
	    decision: string;
	    registration?: string;
	    registration_id?: string;
	    launches: number;
	    first_seen: string;
	    last_seen: string;
	    decided_at?: string;
	
	    static createFrom(source: any = {}) {
	        return new Issuer(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.issuer = source["issuer"];
	        this.received = source["received"];
	        this.decision = source["decision"];
	        this.registration = source["registration"];
	        this.registration_id = source["registration_id"];
	        this.launches = source["launches"];
	        this.first_seen = source["first_seen"];
	        this.last_seen = source["last_seen"];
	        this.decided_at = source["decided_at"];
	    }
	}
	export class PublicKey {
	    kid: string;
	    alg: string;
	    kind: string;
	    signs: boolean;
	    created_at: string;
	    jwk: any;
	    pem: string;
	    certificate: string;
	    certificate_sha1: string;
	
	    static createFrom(source: any = {}) {
	        return new PublicKey(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.kid = source["kid"];
	        this.alg = source["alg"];
	        this.kind = source["kind"];
	        this.signs = source["signs"];
	        this.created_at = source["created_at"];
	        this.jwk = source["jwk"];
	        this.pem = source["pem"];
	        this.certificate = source["certificate"];
	        this.certificate_sha1 = source["certificate_sha1"];
	    }
	}
	export class Kit {
	    client_type: string;
	    redirect_uris: string[];
	    launch_url: string;
	    scopes: string[];
	    audience: string;
	    jwks?: any;
	    jwks_url: string;
	    public_keys: PublicKey[];
	    notes: string[];
	
	    static createFrom(source: any = {}) {
	        return new Kit(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.client_type = source["client_type"];
	        this.redirect_uris = source["redirect_uris"];
	        this.launch_url = source["launch_url"];
	        this.scopes = source["scopes"];
	        this.audience = source["audience"];
	        this.jwks = source["jwks"];
	        this.jwks_url = source["jwks_url"];
	        this.public_keys = this.convertValues(source["public_keys"], PublicKey);
	        this.notes = source["notes"];
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	
	
	export class LaunchSettings {
	    on: boolean;
	    url: string;
	
	    static createFrom(source: any = {}) {
	        return new LaunchSettings(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.on = source["on"];
	        this.url = source["url"];
	    }
	}
	
	export class LocalHTTPS {
	    authority?: network.CertificateInfo;
	    file: string;
	    browsers: BrowserStore[];
	    instructions: localca.Instruction[];
	
	    static createFrom(source: any = {}) {
	        return new LocalHTTPS(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.authority = this.convertValues(source["authority"], network.CertificateInfo);
	        this.file = source["file"];
	        this.browsers = this.convertValues(source["browsers"], BrowserStore);
	        this.instructions = this.convertValues(source["instructions"], localca.Instruction);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class LoginInfo {
	    id: string;
	    registration_id: string;
	    redirect_uri: string;
	    scopes: string[];
	    warnings: string[];
	    started_at: string;
	    expires_at: string;
	
	    static createFrom(source: any = {}) {
	        return new LoginInfo(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.id = source["id"];
	        this.registration_id = source["registration_id"];
	        this.redirect_uri = source["redirect_uri"];
	        this.scopes = source["scopes"];
	        this.warnings = source["warnings"];
	        this.started_at = source["started_at"];
	        this.expires_at = source["expires_at"];
	    }
	}
	export class ProxySettings {
	    mode: string;
	    url: string;
	    user: string;
	    password: string;
	    except: string;
	
	    static createFrom(source: any = {}) {
	        return new ProxySettings(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.mode = source["mode"];
	        this.url = source["url"];
	        this.user = source["user"];
	        this.password = source["password"];
	        this.except = source["except"];
	    }
	}
	export class NetworkSettings {
	    proxy: ProxySettings;
	    authorities: network.CertificateInfo[];
	    client_certificate?: network.CertificateInfo;
	
	    static createFrom(source: any = {}) {
	        return new NetworkSettings(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.proxy = this.convertValues(source["proxy"], ProxySettings);
	        this.authorities = this.convertValues(source["authorities"], network.CertificateInfo);
	        this.client_certificate = this.convertValues(source["client_certificate"], network.CertificateInfo);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	
	export class Policy {
	    idle_minutes: number;
	    audit_days: number;
	
	    static createFrom(source: any = {}) {
	        return new Policy(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.idle_minutes = source["idle_minutes"];
	        this.audit_days = source["audit_days"];
	    }
	}
	export class ProfileConnection {
	    registration: string;
	    kind: string;
	    connected_at: string;
	
	    static createFrom(source: any = {}) {
	        return new ProfileConnection(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.registration = source["registration"];
	        this.kind = source["kind"];
	        this.connected_at = source["connected_at"];
	    }
	}
	export class Profile {
	    id: string;
	    name: string;
	    role: string;
	    created_at: string;
	    passcode: string;
	    current: boolean;
	    connections: ProfileConnection[];
	    wait_until?: string;
	
	    static createFrom(source: any = {}) {
	        return new Profile(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.id = source["id"];
	        this.name = source["name"];
	        this.role = source["role"];
	        this.created_at = source["created_at"];
	        this.passcode = source["passcode"];
	        this.current = source["current"];
	        this.connections = this.convertValues(source["connections"], ProfileConnection);
	        this.wait_until = source["wait_until"];
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	
	export class ProxyInput {
	    mode: string;
	    url: string;
	    user: string;
	    password_action: string;
	    password: string;
	    except: string;
	
	    static createFrom(source: any = {}) {
	        return new ProxyInput(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.mode = source["mode"];
	        this.url = source["url"];
	        this.user = source["user"];
	        this.password_action = source["password_action"];
	        this.password = source["password"];
	        this.except = source["except"];
	    }
	}
	
	
	export class Registration {
	    id: string;
	    name: string;
	    kind: string;
	    ehr: string;
	    environment: string;
	    fhir_base_url: string;
	    client_id: string;
	    client_type: string;
	    client_secret: string;
	    audience: string;
	    scopes: string[];
	    scopes_default: boolean;
	    offline_access: boolean;
	    patient_needed: boolean;
	    access_period_days: number;
	    access_period_rolling: boolean;
	    redirect_uris: string[];
	    launch_url: string;
	    created_at: string;
	    updated_at: string;
	
	    static createFrom(source: any = {}) {
	        return new Registration(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.id = source["id"];
	        this.name = source["name"];
	        this.kind = source["kind"];
	        this.ehr = source["ehr"];
	        this.environment = source["environment"];
	        this.fhir_base_url = source["fhir_base_url"];
	        this.client_id = source["client_id"];
	        this.client_type = source["client_type"];
	        this.client_secret = source["client_secret"];
	        this.audience = source["audience"];
	        this.scopes = source["scopes"];
	        this.scopes_default = source["scopes_default"];
	        this.offline_access = source["offline_access"];
	        this.patient_needed = source["patient_needed"];
	        this.access_period_days = source["access_period_days"];
	        this.access_period_rolling = source["access_period_rolling"];
	        this.redirect_uris = source["redirect_uris"];
	        this.launch_url = source["launch_url"];
	        this.created_at = source["created_at"];
	        this.updated_at = source["updated_at"];
	    }
	}
	export class RegistrationInput {
	    name: string;
	    kind?: string;
	    ehr: string;
	    environment: string;
	    fhir_base_url: string;
	    client_id: string;
	    client_type: string;
	    client_secret_action: string;
	    client_secret: string;
	    audience: string;
	    scopes: string[];
	    offline_access?: boolean;
	    patient_needed?: boolean;
	    redirect_uris: string[];
	    access_period_days?: number;
	    access_period_rolling?: boolean;
	
	    static createFrom(source: any = {}) {
	        return new RegistrationInput(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.name = source["name"];
	        this.kind = source["kind"];
	        this.ehr = source["ehr"];
	        this.environment = source["environment"];
	        this.fhir_base_url = source["fhir_base_url"];
	        this.client_id = source["client_id"];
	        this.client_type = source["client_type"];
	        this.client_secret_action = source["client_secret_action"];
	        this.client_secret = source["client_secret"];
	        this.audience = source["audience"];
	        this.scopes = source["scopes"];
	        this.offline_access = source["offline_access"];
	        this.patient_needed = source["patient_needed"];
	        this.redirect_uris = source["redirect_uris"];
	        this.access_period_days = source["access_period_days"];
	        this.access_period_rolling = source["access_period_rolling"];
	    }
	}
	export class ScopeLine {
	    scope: string;
	    meaning: string;
	    supported: string;
	    supported_reason: string;
	
	    static createFrom(source: any = {}) {
	        return new ScopeLine(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.scope = source["scope"];
	        this.meaning = source["meaning"];
	        this.supported = source["supported"];
	        this.supported_reason = source["supported_reason"];
	    }
	}
	export class ScopeSet {
	    context: string;
	    asked: boolean;
	    default: boolean;
	    scopes: ScopeLine[];
	    warnings: string[];
	
	    static createFrom(source: any = {}) {
	        return new ScopeSet(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.context = source["context"];
	        this.asked = source["asked"];
	        this.default = source["default"];
	        this.scopes = this.convertValues(source["scopes"], ScopeLine);
	        this.warnings = source["warnings"];
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class ScopeAdvice {
	    registration_id: string;
	    registration_name: string;
	    audience: string;
	    scopes_default: boolean;
	    offline_access: boolean;
	    patient_needed: boolean;
	    version: number;
	    version_reason: string;
	    sets: ScopeSet[];
	    warnings: string[];
	    granted?: GrantedScopes;
	
	    static createFrom(source: any = {}) {
	        return new ScopeAdvice(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.registration_id = source["registration_id"];
	        this.registration_name = source["registration_name"];
	        this.audience = source["audience"];
	        this.scopes_default = source["scopes_default"];
	        this.offline_access = source["offline_access"];
	        this.patient_needed = source["patient_needed"];
	        this.version = source["version"];
	        this.version_reason = source["version_reason"];
	        this.sets = this.convertValues(source["sets"], ScopeSet);
	        this.warnings = source["warnings"];
	        this.granted = this.convertValues(source["granted"], GrantedScopes);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	
	
	export class SeatStatus {
	    profile_id: string;
	    profile: string;
	    role: string;
	    locked: boolean;
	    passcode: string;
	    passphrase: boolean;
	
	    static createFrom(source: any = {}) {
	        return new SeatStatus(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.profile_id = source["profile_id"];
	        this.profile = source["profile"];
	        this.role = source["role"];
	        this.locked = source["locked"];
	        this.passcode = source["passcode"];
	        this.passphrase = source["passphrase"];
	    }
	}
	
	export class SurveyItem {
	    id: string;
	    title: string;
	    result: string;
	    declared: string;
	    seen: string;
	    meaning: string;
	    advice: string;
	
	    static createFrom(source: any = {}) {
	        return new SurveyItem(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.id = source["id"];
	        this.title = source["title"];
	        this.result = source["result"];
	        this.declared = source["declared"];
	        this.seen = source["seen"];
	        this.meaning = source["meaning"];
	        this.advice = source["advice"];
	    }
	}
	export class Survey {
	    registration_id: string;
	    registration_name: string;
	    fhir_base_url: string;
	    started_at: string;
	    ok: boolean;
	    items: SurveyItem[];
	
	    static createFrom(source: any = {}) {
	        return new Survey(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.registration_id = source["registration_id"];
	        this.registration_name = source["registration_name"];
	        this.fhir_base_url = source["fhir_base_url"];
	        this.started_at = source["started_at"];
	        this.ok = source["ok"];
	        this.items = this.convertValues(source["items"], SurveyItem);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	
	export class TestReport {
	    registration_id: string;
	    started_at: string;
	    ok: boolean;
	    layer: string;
	    checks: Check[];
	
	    static createFrom(source: any = {}) {
	        return new TestReport(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.registration_id = source["registration_id"];
	        this.started_at = source["started_at"];
	        this.ok = source["ok"];
	        this.layer = source["layer"];
	        this.checks = this.convertValues(source["checks"], Check);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class Traced {
	    id: number;
	    registration_id: string;
	    registration: string;
	    operation: string;
	    program: string;
	    started: string;
	    ended: string;
	    outcome: string;
	    exchanges: trace.Exchange[];
	    notes: trace.Note[];
	    left_out: string[];
	    sequence: trace.Arrow[];
	
	    static createFrom(source: any = {}) {
	        return new Traced(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.id = source["id"];
	        this.registration_id = source["registration_id"];
	        this.registration = source["registration"];
	        this.operation = source["operation"];
	        this.program = source["program"];
	        this.started = source["started"];
	        this.ended = source["ended"];
	        this.outcome = source["outcome"];
	        this.exchanges = this.convertValues(source["exchanges"], trace.Exchange);
	        this.notes = this.convertValues(source["notes"], trace.Note);
	        this.left_out = source["left_out"];
	        this.sequence = this.convertValues(source["sequence"], trace.Arrow);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}
	export class VaultStatus {
	    state: string;
	    protection: string;
	    keyring: string;
	    advice: string;
	    error?: fault.Error;
	
	    static createFrom(source: any = {}) {
	        return new VaultStatus(source);
	    }
	
	    constructor(source: any = {}) {
	        if ('string' === typeof source) source = JSON.parse(source);
	        this.state = source["state"];
	        this.protection = source["protection"];
	        this.keyring = source["keyring"];
	        this.advice = source["advice"];
	        this.error = this.convertValues(source["error"], fault.Error);
	    }
	
		convertValues(a: any, classs: any, asMap: boolean = false): any {
		    if (!a) {
		        return a;
		    }
		    if (a.slice && a.map) {
		        return (a as any[]).map(elem => this.convertValues(elem, classs));
		    } else if ("object" === typeof a) {
		        if (asMap) {
		            for (const key of Object.keys(a)) {
		                a[key] = new classs(a[key]);
		            }
		            return a;
		        }
		        return new classs(a);
		    }
		    return a;
		}
	}

}

