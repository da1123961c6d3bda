import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Locator, Page } from '@playwright/test';
import { expectAccessible } from '../harness/accessible';
import type { Desk } from '../harness/desk';
import { PUBLIC_CLIENT_ID } from '../harness/ehr';
import { expect, test as base } from '../harness/fixtures';
import type { SystemBrowser } from '../harness/signin';
import { freePort } from '../harness/window';
import { answerPages, type Answers } from './ehr-pages';
import { goTo, register } from './form';

const SANDBOX = 'http://localhost:18340';

/** The region of the Launches place with a heading. */
const launches = (page: Page, name: string) => page.getByRole('region', { name, exact: true });
const waiting = (page: Page) => launches(page, 'Waiting for a decision');
const connections = (page: Page) => launches(page, 'Connections made by launches').getByRole('listitem');

/** The latest of the launches that came in. */
const latest = (page: Page) => launches(page, 'Incoming launches').getByRole('row').nth(1);

/** What a list of facts says of one. */
const fact = (within: Locator, label: string) => within.locator('dt').getByText(label, { exact: true }).locator('xpath=following-sibling::dd[1]');

/** Chooses in a field that lists what can be chosen. */
async function choose(page: Page, form: Locator, label: string, text: string): Promise<void> {
  await form.getByRole('combobox', { name: label, exact: true }).click();
  await page.getByRole('option', { name: text }).first().click();
  await expect(form.getByRole('combobox', { name: label, exact: true })).toHaveValue(new RegExp(`^${text.replace(/[.()]/g, '\\$&')}`));
}

type Chart = {
  user?: string;
  client?: string;
  patient?: string;
  encounter?: string;
  intent?: string;
  banner?: 'Not told' | 'Needed' | 'Not needed';
  style?: 'Light' | 'Dark' | 'Not told';
  tenant?: string;
  context?: string;
  /** No consent page. */
  approved?: boolean;
};

/** Launches by the controls of the Sandbox place, and gives what the system browser is to open. */
async function launch(page: Page, desk: Desk, chart: Chart): Promise<string> {
  await goTo(page, 'Sandbox');
  const form = page.getByRole('form', { name: 'Launch an app' });
  await expect(form.getByRole('combobox', { name: 'User', exact: true })).not.toHaveValue('');
  if (chart.user) await choose(page, form, 'User', chart.user);
  if (chart.client) await choose(page, form, 'Client', chart.client);
  if (chart.patient) await choose(page, form, 'Patient', chart.patient);
  if (chart.encounter) await choose(page, form, 'Encounter', chart.encounter);
  if (chart.intent) await form.getByLabel('Intent').fill(chart.intent);
  if (chart.banner) await form.getByRole('group', { name: 'Patient banner' }).getByRole('radio', { name: chart.banner, exact: true }).check();
  if (chart.style) await form.getByRole('group', { name: 'Style', exact: true }).getByRole('radio', { name: chart.style, exact: true }).check();
  if (chart.tenant || chart.context || chart.approved) await form.locator('summary').click();
  if (chart.tenant) await form.getByLabel('Tenant').fill(chart.tenant);
  if (chart.context) await form.getByLabel('fhirContext').fill(chart.context);
  if (chart.approved) await form.getByRole('checkbox', { name: /has approved the app/ }).check();
  await form.getByRole('button', { name: 'Launch', exact: true }).click();
  const address = await desk.opened();
  await expect(form.getByText('Launched. It goes on in your browser, and under Launches.')).toBeVisible();
  await goTo(page, 'Launches');
  const { searchParams } = new URL(address);
  expect([...searchParams.keys()], 'what a launch carries').toEqual(['iss', 'launch']);
  desk.secrets.add('launch', searchParams.get('launch'));
  return address;
}

/** Has the system browser open the launch, and answers the EHR's pages. */
async function follow(browser: SystemBrowser, address: string, answers: Answers = {}): Promise<{ end: Page; pages: string[] }> {
  const end = await browser.open(address);
  return { end, pages: await answerPages(end, answers, SANDBOX) };
}

/** Proves that the launch that came in last is connected. */
async function expectConnected(page: Page, end: Page, patient: string): Promise<Locator> {
  await expect(end.getByRole('heading', { level: 1 })).toContainText('✓ Connected');
  await expect(latest(page)).toContainText('Sent to sign in');
  await expect(latest(page)).toContainText('Connected');
  const connection = connections(page).first();
  await expect(connection).toContainText('Connected');
  await expect(fact(connection, 'Patient')).toContainText(patient);
  return connection;
}

/** Reads what the launch opened, and so proves that it can be used. */
async function expectUsable(connection: Locator, title: string): Promise<void> {
  await connection.getByRole('button', { name: 'Read from its chart' }).click();
  await connection.getByRole('button', { name: 'Read', exact: true }).click();
  await expect(connection.getByRole('heading', { name: title })).toBeVisible();
  await expect(connection.getByRole('region', { name: 'JSON' })).toContainText('"resourceType": "Patient"');
}

/** Pages of another site, which the system browser can open. */
class OtherSite {
  readonly #pages = new Map<string, string>();
  private constructor(private readonly server: ReturnType<typeof createServer>) {}

  static async open(): Promise<OtherSite> {
    const server = createServer((request, response) => {
      const body = site.#pages.get(request.url ?? '');
      response.writeHead(body === undefined ? 404 : 200, { 'content-type': 'text/html; charset=utf-8' }).end(`<!doctype html><title>Another site</title>${body}`);
    });
    const site = new OtherSite(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return site;
  }

  page(body: string): string {
    const path = `/${this.#pages.size + 1}`;
    this.#pages.set(path, body);
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}${path}`;
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

type Fixtures = {
  /** The window's page with the sandbox running and registered, and the listener on at a free port. */
  ready: Page;
  site: OtherSite;
};

const test = base.extend<Fixtures>({
  ready: async ({ open }, use) => {
    const { page } = await open();
    await startSandbox(page);
    await page.getByRole('button', { name: 'Register the sandbox' }).click();
    await expect(page.getByRole('heading', { name: 'Sandbox', level: 1 })).toBeVisible();
    await expect(page.getByRole('button', { name: 'Connect to Sandbox' })).toBeVisible();
    await listen(page);
    await use(page);
  },
  site: async ({}, use) => {
    const site = await OtherSite.open();
    await use(site);
    await site.close();
  },
});

async function startSandbox(page: Page): Promise<void> {
  await goTo(page, 'Sandbox');
  await page.getByRole('button', { name: 'Start the sandbox' }).click();
  await expect(page.getByText('Running', { exact: true })).toBeVisible();
}

/** Moves the listener to a free port and switches it on, and gives its launch URL. */
async function listen(page: Page): Promise<string> {
  const port = await freePort();
  const url = `http://localhost:${port}/launch`;
  await goTo(page, 'Launches');
  const listener = launches(page, 'Listener');
  await expect(listener.getByText('Listener off')).toBeVisible();
  await listener.getByRole('button', { name: 'Change launch URL' }).click();
  await listener.getByLabel('Port').fill(String(port));
  await listener.getByRole('button', { name: 'Save launch URL' }).click();
  await expect(fact(listener, 'Launch URL').getByText(url, { exact: true })).toBeVisible();
  await expect(listener.getByRole('form')).toBeHidden();
  await listener.getByRole('switch', { name: 'Listen for launches' }).check({ force: true });
  await expect(listener.getByText('Listening', { exact: true })).toBeVisible();
  return url;
}

test('a clinician launches from a chart, and all that the EHR tells is shown', async ({ ready: page, desk, systemBrowser }) => {
  const address = await launch(page, desk, {
    user: 'Dr. Henrik Lindqvist', patient: 'Daniel Reuben Whitlock', encounter: 'Diabetes review, 2024-02-06', intent: 'reconcile-medications',
    banner: 'Not needed', style: 'Dark', tenant: 'north-campus', context: 'ImagingStudy/7\nhttps://forms.example/phq-9|1 questionnaire-open',
  });
  await expect(launches(page, 'Incoming launches').getByText('None yet.')).toBeVisible();
  const { end, pages } = await follow(systemBrowser, address);
  expect(pages).toEqual(['consent']);
  const connection = await expectConnected(page, end, 'Patient/daniel-whitlock');
  for (const [label, text] of [
    ['User', 'Henrik Lindqvist'], ['User', 'Practitioner/henrik-lindqvist'], ['Encounter', 'daniel-whitlock-visit-1'], ['Intent', 'reconcile-medications'],
    ['Patient banner', 'Not needed'], ['fhirContext', 'ImagingStudy/7'], ['fhirContext', 'https://forms.example/phq-9|1 as questionnaire-open'],
    ['Registration', 'Sandbox'], ['Tenant', 'north-campus'], ['Style', `${SANDBOX}/smart-style-dark.json`],
  ] as const) {
    await expect.soft(fact(connection, label), label).toContainText(text);
  }
  await expect(connection.getByText('Odd about this launch')).toBeHidden();
  await expectUsable(connection, 'Daniel Reuben Whitlock');
  await expectAccessible(page, 'Launches, with a connection');

  await test.step('the launch counts once', async () => {
    const again = await systemBrowser.open(address);
    await expect(again.getByRole('heading', { level: 1 })).toContainText('This launch was used already');
    await expect(latest(page)).toContainText('Refused');
    await expect(connections(page)).toHaveCount(1);
  });

  await test.step('it has not become the registration’s own connection, and ends for itself', async () => {
    await connection.getByRole('button', { name: 'Disconnect', exact: false }).click();
    await page.getByRole('alertdialog').getByRole('button', { name: 'Disconnect now' }).click();
    await expect(connections(page)).toHaveCount(0);
    await goTo(page, 'Connections');
    await expect(page.getByRole('button', { name: 'Connect to Sandbox' })).toBeVisible();
  });
});

test('a patient launches, denies it once, and later is not asked', async ({ ready: page, desk, systemBrowser }) => {
  const mine: Chart = { user: 'Amara Nwosu', patient: 'Amara Chidinma Nwosu', banner: 'Needed', style: 'Not told' };
  await test.step('denied', async () => {
    const { end, pages } = await follow(systemBrowser, await launch(page, desk, mine), { deny: true });
    expect(pages).toEqual(['consent']);
    await expect(end.getByRole('heading', { level: 1 })).not.toContainText('✓');
    await expect(latest(page)).toContainText('Failed');
    const reason = launches(page, 'Incoming launches').getByRole('row').nth(2);
    await expect(reason).toContainText(/denied|not allowed|declined|refused/i);
    await expect(connections(page)).toHaveCount(0);
  });
  await test.step('approved for everyone', async () => {
    const { end, pages } = await follow(systemBrowser, await launch(page, desk, { ...mine, approved: true }));
    expect(pages).toEqual([]);
    const connection = await expectConnected(page, end, 'Patient/amara-nwosu');
    await expect(fact(connection, 'User')).toContainText('Patient/amara-nwosu');
    await expect(fact(connection, 'Encounter')).toHaveText('None was open');
    await expect(fact(connection, 'Patient banner')).toContainText('Needed: the app shows');
    await expect(fact(connection, 'Style')).toHaveText('Not told by the EHR');
    await expect(fact(connection, 'fhirContext')).toHaveText('None');
    await expectUsable(connection, 'Amara Chidinma Nwosu');
  });
});

test('a launch without a patient asks for one only where the app reads one’s chart', async ({ ready: page, desk, systemBrowser }) => {
  await test.step('the app asks for a chart, so the EHR asks which', async () => {
    const { end, pages } = await follow(systemBrowser, await launch(page, desk, { user: 'June Calloway', patient: 'No patient' }), { patient: 'Priya Raghunathan' });
    expect(pages).toEqual(['patient', 'consent']);
    await expectConnected(page, end, 'Patient/priya-raghunathan');
  });
  await test.step('the app works for the user alone', async () => {
    await desk.chartkey(['registration', 'remove', 'Sandbox', '--yes']);
    await desk.chartkey(['registration', 'add', '--name', 'Clinicians', '--fhir-base-url', `${SANDBOX}/fhir`, '--client-id', 'chartkey-provider', '--audience', 'provider', '--no-test']);
    await expect(connections(page)).toHaveCount(0);
    const { end, pages } = await follow(systemBrowser, await launch(page, desk, { user: 'June Calloway', client: 'Chartkey for clinicians', patient: 'No patient' }));
    expect(pages).toEqual(['consent']);
    const connection = await expectConnected(page, end, 'None was open');
    await expect(fact(connection, 'User')).toContainText('Practitioner/june-calloway');
    await expect(connection).toContainText('No patient');
  });
});

test('a launch by a form counts as a person’s where a person sends it', async ({ ready: page, desk, systemBrowser, site }) => {
  const chart = { patient: 'Hiroko Tanabe', approved: true };
  const form = (address: string, rest: string) => {
    const { origin, pathname, searchParams } = new URL(address);
    const fields = [...searchParams].map(([name, value]) => `<input type="hidden" name="${name}" value="${value}">`).join('');
    return site.page(`<form method="post" action="${origin}${pathname}">${fields}<button>Open the app</button></form>${rest}`);
  };
  await test.step('a person sends it', async () => {
    const ehr = await systemBrowser.open(form(await launch(page, desk, chart), ''));
    await ehr.getByRole('button', { name: 'Open the app' }).click();
    await expectUsable(await expectConnected(page, ehr, 'Patient/hiroko-tanabe'), 'Hiroko Tanabe');
  });
  await test.step('the page sends it by itself, so it waits to be accepted', async () => {
    const ehr = await systemBrowser.open(form(await launch(page, desk, { ...chart, patient: 'Jordan Pike' }), '<script>document.forms[0].submit()</script>'));
    await expect(ehr.getByRole('heading', { level: 1 })).toContainText('✓ Connected');
    await accept(page, 'Jordan Pike', 'Patient/jordan-pike');
  });
});

/** Accepts what no person started, and proves that it can be used then. */
async function accept(page: Page, patient: string, reference: string): Promise<void> {
  const before = await connections(page).count();
  await expect(waiting(page).getByText('No person started this launch')).toBeVisible();
  await expect(waiting(page)).toContainText(patient);
  await expect(connections(page).filter({ hasText: patient })).toHaveCount(0);
  await waiting(page).getByRole('button', { name: /^Accept / }).click();
  await expect(waiting(page)).toBeHidden();
  await expect(connections(page)).toHaveCount(before + 1);
  const connection = connections(page).first();
  await expect(fact(connection, 'Patient')).toContainText(reference);
  await expectUsable(connection, patient);
}

test('a page that launches by a script must be accepted, and in a frame it is refused', async ({ ready: page, desk, systemBrowser, site }) => {
  const first = await launch(page, desk, { patient: 'Gregory Abara', approved: true });
  await test.step('framed: nothing comes of it', async () => {
    const evil = await systemBrowser.open('about:blank');
    const [answer] = await Promise.all([
      evil.waitForResponse((response) => response.url() === first),
      evil.goto(site.page(`<iframe src="${first.replaceAll('&', '&amp;')}"></iframe>`)),
    ]);
    expect(answer.status()).toBe(403);
    expect(answer.headers()['x-frame-options']).toBe('DENY');
    await expect(launches(page, 'Incoming launches').getByText('None yet.')).toBeVisible();
    await evil.close();
  });
  await test.step('fetched: nothing comes of it', async () => {
    const evil = await systemBrowser.open(site.page(`<script>fetch(${JSON.stringify(first)}, { mode: 'no-cors' }).then(() => (document.title = 'Answered'), () => (document.title = 'Refused'))</script>`));
    await expect(evil).toHaveTitle('Refused');
    await expect(launches(page, 'Incoming launches').getByText('None yet.')).toBeVisible();
    await evil.close();
  });
  await test.step('navigated to: it waits, is accepted, and is used', async () => {
    const evil = await systemBrowser.open(site.page(`<script>location.href = ${JSON.stringify(first)}</script>`));
    await expect(evil.getByRole('heading', { level: 1 })).toContainText('✓ Connected');
    await expect(latest(page)).toContainText('Connected');
    await expect(launches(page, 'Incoming launches').getByRole('row'), 'the header and this launch alone').toHaveCount(2);
    const [row] = (await desk.chartkey(['status'])).filter((o) => o.kind === 'launch');
    expect(row).toMatchObject({ accepted: false });
    await expectAccessible(page, 'Launches, with one that waits to be accepted');
    await accept(page, 'Gregory Abara', 'Patient/gregory-abara');
  });
  await test.step('opened in a window of its own: it waits, and is discarded', async () => {
    const second = await launch(page, desk, { patient: 'Luca Marchetti', approved: true });
    const evil = await systemBrowser.open('about:blank');
    const [popup] = await Promise.all([evil.waitForEvent('popup'), evil.goto(site.page(`<script>open(${JSON.stringify(second)})</script>`))]);
    await expect(popup.getByRole('heading', { level: 1 })).toContainText('✓ Connected');
    await expect(waiting(page)).toContainText('Luca Marchetti');
    await waiting(page).getByRole('button', { name: /^Discard / }).click();
    await expect(waiting(page)).toBeHidden();
    await expect(connections(page)).toHaveCount(1);
  });
});

test('an EHR that is not registered waits, shows what it says of itself, and is registered', async ({ open, desk, systemBrowser }) => {
  const { page } = await open();
  await startSandbox(page);
  await listen(page);
  const chart = { client: 'Chartkey (chartkey-demo)', patient: 'Ruth Olufunke Adeyemi-Stone', approved: true };
  const address = await launch(page, desk, chart);
  const unknown = await systemBrowser.open(address);
  await expect(unknown.getByRole('heading', { level: 1 })).toContainText('This EHR is not known here yet');
  await expect(latest(page)).toContainText('Held back');
  await expect(waiting(page).getByRole('heading', { name: `${SANDBOX}/fhir` })).toBeVisible();
  await goTo(page, 'Sandbox');
  await expect(page.getByText('None yet. Each request that reaches the sandbox appears here.'), 'nothing was fetched').toBeVisible();

  await goTo(page, 'Launches');
  await waiting(page).getByRole('button', { name: /^Show what it says of itself/ }).click();
  const says = page.getByRole('region', { name: /says of itself$/ });
  await expect(fact(says, 'Token endpoint')).toHaveText(`${SANDBOX}/auth/token`);
  await expect(says.getByText('launch-ehr', { exact: true })).toBeVisible();
  await expectAccessible(page, 'Launches, with an issuer that waits');

  await waiting(page).getByRole('button', { name: /^Register this EHR/ }).click();
  await expect(page.getByLabel('FHIR base URL', { exact: true })).toHaveValue(`${SANDBOX}/fhir`);
  await page.getByLabel('Name', { exact: true }).fill('Teaching hospital');
  await page.getByLabel('Client ID', { exact: true }).fill('chartkey-demo');
  await page.getByRole('button', { name: 'Save', exact: false }).click();
  await expect(page.getByRole('heading', { name: 'Teaching hospital', level: 1 })).toBeVisible();
  const { end } = await follow(systemBrowser, await launch(page, desk, { ...chart, client: undefined }));
  const connection = await expectConnected(page, end, 'Patient/ruth-adeyemi');
  await expect(fact(connection, 'Registration')).toHaveText('Teaching hospital');
});

test('an issuer is approved, withdrawn and refused, and each decision counts for the next launch', async ({ open, desk, ehr, systemBrowser }) => {
  // The EHR launches under a name of its own, which is not that of any registration.
  await desk.chartkey(['registration', 'add', '--name', 'General', '--fhir-base-url', ehr.fhirBaseURL, '--client-id', PUBLIC_CLIENT_ID, '--no-test']);
  const { page } = await open();
  const launchURL = await listen(page);
  const decided = launches(page, 'Decisions');

  /** Launches from the EHR's own page, as its users do. */
  async function fromPortal(): Promise<Page> {
    const portal = await systemBrowser.open(new URL('/', ehr.fhirBaseURL).href);
    await portal.getByLabel('App', { exact: true }).selectOption(PUBLIC_CLIENT_ID);
    await portal.getByLabel('Launch URL').fill(launchURL);
    await portal.getByRole('button', { name: 'Launch', exact: true }).click();
    return portal;
  }

  await test.step('it waits', async () => {
    const portal = await fromPortal();
    await expect(portal.getByRole('heading', { level: 1 })).toContainText('This EHR is not known here yet');
    await expect(waiting(page).getByText('1 launch', { exact: false })).toBeVisible();
    expect(ehr.requests.filter((r) => r.includes('/auth/')), 'nobody was sent on').toEqual([]);
  });
  await test.step('without a choice there is nothing to approve with', async () => {
    await waiting(page).getByRole('button', { name: /^Approve / }).click();
    await expect(waiting(page).getByText('No registration is chosen.')).toBeVisible();
  });
  await test.step('approved: the next launch connects', async () => {
    await choose(page, waiting(page), 'Registration that its launches use', 'General');
    await waiting(page).getByRole('button', { name: /^Approve / }).click();
    await expect(waiting(page)).toBeHidden();
    await expect(decided.getByRole('row').nth(1)).toContainText('Approved');
    await expect(decided.getByRole('row').nth(1)).toContainText('uses General');
    const portal = await fromPortal();
    await expect(portal.locator('body')).toHaveAttribute('data-page', 'consent');
    await answerPages(portal);
    const connection = await expectConnected(page, portal, 'Patient/amara-nwosu');
    await expect(fact(connection, 'Registration')).toHaveText('General');
    await expectUsable(connection, 'Amara Chidinma Nwosu');
  });
  await test.step('withdrawn: the next launch waits again', async () => {
    await decided.getByRole('button', { name: /^Withdraw the decision on / }).click();
    await expect(decided.getByText('None yet.')).toBeVisible();
    const portal = await fromPortal();
    await expect(portal.getByRole('heading', { level: 1 })).toContainText('This EHR is not known here yet');
    await expect(latest(page)).toContainText('Held back');
  });
  await test.step('refused: the next launch is turned away', async () => {
    await waiting(page).getByRole('button', { name: /^Refuse / }).click();
    await expect(waiting(page)).toBeHidden();
    await expect(decided.getByRole('row').nth(1)).toContainText('Refused');
    const portal = await fromPortal();
    await expect(portal.getByRole('heading', { level: 1 })).toContainText('Launches from this EHR are refused here');
    await expect(latest(page)).toContainText('Refused');
    await expect(connections(page), 'the connection of before').toHaveCount(1);
  });
});

test('of several registrations for one server, the one that was chosen is used from then on', async ({ open, desk, systemBrowser }) => {
  const { page } = await open();
  await startSandbox(page);
  await goTo(page, 'Connections');
  await register(page, { name: 'For patients', fhirBaseURL: `${SANDBOX}/fhir`, clientID: 'chartkey-demo' });
  await page.getByRole('button', { name: 'Save', exact: false }).click();
  await expect(page.getByRole('heading', { name: 'For patients', level: 1 })).toBeVisible();
  await desk.chartkey(['registration', 'add', '--name', 'For clinicians', '--fhir-base-url', `${SANDBOX}/fhir/`, '--client-id', 'chartkey-provider', '--no-test']);
  await listen(page);
  const chart = { client: 'Chartkey for clinicians', patient: 'Roelof Olaf Bor', approved: true };

  const undecided = await systemBrowser.open(await launch(page, desk, chart));
  await expect(undecided.getByRole('heading', { level: 1 })).toContainText('Several registrations fit this EHR');
  await expect(waiting(page)).toContainText('2 registrations are for this server');
  await choose(page, waiting(page), 'Registration that its launches use', 'For clinicians');
  await waiting(page).getByRole('button', { name: /^Approve / }).click();
  await expect(launches(page, 'Decisions').getByRole('row').nth(1)).toContainText('uses For clinicians');

  for (const patient of ['Roelof Olaf Bor', 'Walter Johan Eriksen']) {
    const { end } = await follow(systemBrowser, await launch(page, desk, { ...chart, patient }));
    const connection = await expectConnected(page, end, patient);
    await expect(fact(connection, 'Registration')).toHaveText('For clinicians');
    await expect(latest(page)).toContainText('uses For clinicians');
  }
  await expect(connections(page)).toHaveCount(2);
});
