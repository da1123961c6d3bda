import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Page } from '@playwright/test';
import { objects } from '../harness/desk';
import { expect, test as base } from '../harness/fixtures';
import { answerPages } from './ehr-pages';

// The library as it comes for browsers, with all that it needs.
const library = readFileSync(fileURLToPath(new URL('../../node_modules/fhirclient/build/fhir-client.pure.min.js', import.meta.url)), 'utf8');

const CLIENT_ID = 'outside-app';
const scope = 'openid fhirUser online_access patient/*.rs';

/** An app that somebody else wrote: HL7's fhirclient on three pages. */
type OutsideApp = { signInURL: string; iss: string; portal: string; requests: string[] };

const test = base.extend<{ app: OutsideApp }>({
  app: async ({ desk }, use) => {
    const simulator = desk.start(['simulator', '--port', '0', '--trace']);
    const ready = await simulator.says('that it is ready', (out) => objects(out).find((o) => o.event === 'ready'));
    const iss = String(ready.fhir_base_url);

    const script = (code: string) => `<!doctype html><html lang="en"><title>Outside app</title><script src="/fhir-client.js"></script><body><script>
      const show = (told) => (document.body.textContent = JSON.stringify(told));
      (async () => { ${code} })().catch((error) => show({ failed: String(error) }));
    </script></body></html>`;
    const pages: Record<string, string> = {
      '/fhir-client.js': library,
      '/launch': script(`await FHIR.oauth2.authorize({ clientId: '${CLIENT_ID}', scope: 'launch ${scope}', redirectUri: '/app' });`),
      '/sign-in': script(`await FHIR.oauth2.authorize({ iss: '${iss}', clientId: '${CLIENT_ID}', scope: 'launch/patient ${scope}', redirectUri: '/app' });`),
      '/app': script(`
        const client = await FHIR.oauth2.ready();
        const [patient, user, observations] = await Promise.all([
          client.patient.read(), client.user.read(), client.patient.request('Observation', { flat: true, pageLimit: 0 }),
        ]);
        const { intent, encounter, need_patient_banner, scope } = client.state.tokenResponse;
        const { codeChallengeMethods, codeVerifier } = client.state;
        show({ patient, user, fhirUser: client.getFhirUser(), observations: observations.map((o) => o.subject.reference), told: { intent, encounter, need_patient_banner, scope },
          challenged: codeChallengeMethods.includes('S256') && codeVerifier.length >= 43 });`),
    };
    const server = createServer((request, response) => {
      const { pathname } = new URL(request.url ?? '/', 'http://localhost');
      const found = pages[pathname];
      response.writeHead(found === undefined ? 404 : 200, { 'content-type': pathname.endsWith('.js') ? 'text/javascript' : 'text/html; charset=utf-8' }).end(found);
    });
    await new Promise<void>((resolve) => server.listen(0, 'localhost', resolve));
    const own = `http://localhost:${(server.address() as AddressInfo).port}`;

    const answer = await fetch(new URL('/control/client', iss), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ client_id: CLIENT_ID, client_name: 'Outside app', client_type: 'public', redirect_uris: [`${own}/app`], launch_url: `${own}/launch` }),
    });
    expect(answer.ok, `the app is registered: ${answer.status} ${await answer.text()}`).toBe(true);

    await use({
      signInURL: `${own}/sign-in`,
      iss,
      portal: String(ready.portal_url),
      get requests() {
        return objects(simulator.out)
          .filter((o) => o.event === 'request')
          .map(({ method, path, status, verdict }) => `${method} ${path} ${status} ${verdict ?? ''}`.trim());
      },
    });
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await simulator.stop();
  },
});

/** What the app's page shows at the end. */
async function shown(page: Page): Promise<Record<string, any>> {
  await page.waitForFunction(() => document.body.textContent?.startsWith('{'));
  const told = JSON.parse((await page.locator('body').textContent()) ?? '') as Record<string, any>;
  expect(told, 'what the app shows').not.toHaveProperty('failed');
  return told;
}

test("HL7's fhirclient signs in by itself and reads the patient", async ({ page, app }) => {
  await page.goto(app.signInURL);
  await page.waitForURL((url) => url.origin === new URL(app.iss).origin);
  expect(await answerPages(page, { user: 'sofia', patient: 'Luca Marchetti' })).toEqual(['signin', 'patient', 'consent']);
  const told = await shown(page);
  expect(told.patient).toMatchObject({ resourceType: 'Patient', id: 'luca-marchetti', name: [{ family: 'Marchetti' }] });
  expect(told.user).toMatchObject({ resourceType: 'RelatedPerson', id: 'sofia-for-luca' });
  expect(told.fhirUser).toBe('RelatedPerson/sofia-for-luca');
  expect(new Set(told.observations)).toEqual(new Set(['Patient/luca-marchetti']));
  expect(told.challenged, 'the sign-in is bound by PKCE').toBe(true);
  expect(app.requests.filter((r) => /^POST \/auth\/token/.test(r))).toEqual([expect.stringMatching(/^POST \/auth\/token 200 tokens issued from the code/)]);
});

test("HL7's fhirclient is launched from the portal and reads what is open there", async ({ page, app }) => {
  await page.goto(app.portal);
  const form = page.getByRole('form', { name: 'Launch an app' });
  await form.getByLabel('User').selectOption({ label: 'Dr. Henrik Lindqvist (practitioner)' });
  await form.getByLabel('Patient', { exact: true }).selectOption('daniel-whitlock');
  await form.getByRole('button', { name: 'Update the lists' }).click();
  await form.getByLabel('Visit').selectOption('daniel-whitlock-visit-1');
  await form.getByLabel('App', { exact: true }).selectOption(CLIENT_ID);
  await form.locator('summary', { hasText: 'What else the app is told' }).click();
  await form.getByLabel('Intent').fill('reconcile-medications');
  await form.getByLabel('Patient banner').selectOption('false');
  await form.getByRole('button', { name: 'Launch', exact: true }).click();
  await expect(page.locator('body')).toHaveAttribute('data-page', 'consent');
  expect(await answerPages(page)).toEqual(['consent']);
  const told = await shown(page);
  expect(told.patient).toMatchObject({ resourceType: 'Patient', id: 'daniel-whitlock' });
  expect(told.user).toMatchObject({ resourceType: 'Practitioner', id: 'henrik-lindqvist' });
  expect(told.fhirUser).toBe('Practitioner/henrik-lindqvist');
  expect(told.told).toMatchObject({ intent: 'reconcile-medications', encounter: 'daniel-whitlock-visit-1', need_patient_banner: false });
  expect(told.told.scope.split(' ')).toContain('launch');
  expect(app.requests.filter((r) => /^POST \/launch/.test(r))).toEqual([expect.stringMatching(/^POST \/launch 303 launched/)]);
});
