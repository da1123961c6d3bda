import { writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Child } from './child';
import { objects, type Desk } from './desk';

/** The secret of the confidential client, made up so that it can stand nowhere by chance. */
export const CLIENT_SECRET = 'canary+client/secret=5b1e8c2d';
export const CLIENT_ID = 'e2e-confidential';
export const PUBLIC_CLIENT_ID = 'e2e-public';

const redirects = [18320, 18321, 18322].map((port) => `http://localhost:${port}/callback`);

/**
 * A simulated EHR as a server of its own, behind a proxy that notes every secret which passes: codes, verifiers and
 * tokens. Chartkey knows only the proxy's addresses; the browser is sent on to the simulator itself. The proxy can also
 * hold an answer back, so that a test sees what is shown in the meantime.
 */
export class EHR {
  readonly requests: string[] = [];
  #held = new Map<string, Promise<void>>();

  private constructor(
    private readonly desk: Desk,
    private readonly simulator: Child,
    private readonly origin: string,
    private readonly server: ReturnType<typeof createServer>,
  ) {}

  static async start(desk: Desk): Promise<EHR> {
    const clients = join(desk.root, 'clients.json');
    writeFileSync(
      clients,
      JSON.stringify([
        { client_id: CLIENT_ID, client_type: 'confidential-symmetric', client_secret: CLIENT_SECRET, redirect_uris: redirects },
        { client_id: PUBLIC_CLIENT_ID, client_type: 'public', redirect_uris: redirects },
      ]),
    );
    desk.secrets.add('client secret', CLIENT_SECRET);
    const simulator = desk.start(['simulator', '--port', '0', '--clients', clients]);
    const base = await simulator.says('that it is ready', (out) => objects(out).find((o) => o.event === 'ready')?.fhir_base_url as string | undefined);
    const server = createServer((request, response) => {
      ehr.#answer(request, response).catch((reason: unknown) => {
        response.writeHead(502).end(String(reason));
      });
    });
    const ehr = new EHR(desk, simulator, new URL(base).origin, server);
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    return ehr;
  }

  get #own(): string {
    return `http://localhost:${(this.server.address() as AddressInfo).port}`;
  }

  get fhirBaseURL(): string {
    return `${this.#own}/fhir`;
  }

  /** Holds back every answer under a path until the returned function is called. */
  hold(path: string): () => void {
    let release = () => {};
    this.#held.set(path, new Promise((resolve) => (release = resolve)));
    return () => {
      this.#held.delete(path);
      release();
    };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.#own);
    this.requests.push(`${request.method} ${url.pathname}`);
    if (url.pathname === '/auth/authorize') {
      // The simulator takes its own base URL alone as the audience; from here on the browser is with it.
      if (url.searchParams.get('aud') === this.fhirBaseURL) url.searchParams.set('aud', `${this.origin}/fhir`);
      response.writeHead(303, { location: `${this.origin}/auth/authorize${url.search}` }).end();
      return;
    }
    const body = await text(request);
    if (request.method === 'POST') this.#note(new URLSearchParams(body));
    await this.#held.get(url.pathname);

    const headers: Record<string, string> = {};
    for (const name of ['accept', 'authorization', 'content-type']) {
      const value = request.headers[name];
      if (typeof value === 'string') headers[name] = value;
    }
    const answer = await fetch(`${this.origin}${url.pathname}${url.search}`, {
      method: request.method,
      headers,
      body: request.method === 'POST' ? body : undefined,
      redirect: 'manual',
    });
    let out = await answer.text();
    if (url.pathname === '/auth/token' && answer.ok) this.#note(new URLSearchParams(JSON.parse(out) as Record<string, string>));
    if (url.pathname === '/fhir/.well-known/smart-configuration') out = this.#asOurs(out);
    if (url.pathname.startsWith('/fhir/')) out = out.replaceAll(`${this.origin}/fhir`, this.fhirBaseURL);
    const kept: Record<string, string> = {};
    for (const name of ['content-type', 'cache-control', 'location', 'www-authenticate']) {
      const value = answer.headers.get(name);
      if (value !== null) kept[name] = value;
    }
    response.writeHead(answer.status, kept).end(out);
  }

  /** What Chartkey itself asks comes by here; the issuer and its keys stay the simulator's, which signs the id_token. */
  #asOurs(document: string): string {
    const told = JSON.parse(document) as Record<string, unknown>;
    for (const name of ['authorization_endpoint', 'token_endpoint', 'revocation_endpoint', 'introspection_endpoint']) {
      told[name] = String(told[name]).replace(this.origin, this.#own);
    }
    return JSON.stringify(told);
  }

  #note(fields: URLSearchParams): void {
    for (const name of ['code', 'code_verifier', 'access_token', 'refresh_token', 'id_token']) {
      const value = fields.get(name);
      if (value) this.desk.secrets.add(`${name.replace('_', ' ')} ${++this.#count}`, value);
    }
  }
  #count = 0;

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
    await this.simulator.stop();
  }
}

async function text(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
