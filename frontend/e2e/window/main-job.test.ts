import { existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { run } from '../harness/child';
import { CLIENT_ID, CLIENT_SECRET } from '../harness/ehr';
import { expect, test } from '../harness/fixtures';
import { until } from '../harness/until';
import { Window } from '../harness/window';
import { Tree } from './tree';

const binary = fileURLToPath(new URL('../../../build/bin/chartkey', import.meta.url));
const pictures = fileURLToPath(new URL('../../test-results/window/', import.meta.url));

test.use({ binary });
test.beforeAll(() => {
  if (!existsSync(binary)) throw new Error('There is no build/bin/chartkey: run make build first.');
  mkdirSync(pictures, { recursive: true });
});

const button = (name: string) => ({ role: 'push button', name });
const entry = (name: string) => ({ role: 'entry', name });
const region = (name: string) => ({ role: 'landmark', name });
const page = { role: 'document web' };

test('the main job, in the real window by its accessibility tree', async ({ desk, display, ehr, systemBrowser }) => {
  desk.forgetPassphrase();
  await (await desk.bus()).accessibility(desk.env);
  await desk.keyring();
  const env = { ...desk.env, DISPLAY: display.name };
  const tree = new Tree(env);
  const picture = async (name: string) => {
    let before = '';
    await until('the window has finished painting', async () => {
      const { out, err } = await run('import', ['-window', 'root', '-format', '%#', 'info:-'], { env });
      if (!out) throw new Error(err);
      const still = out === before;
      before = out;
      return still;
    });
    expect((await run('import', ['-window', 'root', '-trim', `${pictures}${name}.png`], { env })).code).toBe(0);
  };
  const show = (section: string) => tree.press({ role: 'link', name: section });
  const secretsInSight = async () => desk.secrets.in(await tree.text(page));

  const started = Date.now();
  const window = await Window.open(desk, display.name);

  await test.step('it opens, with a first control', async () => {
    await tree.see(button('Register an EHR'), 60_000);
    const took = Date.now() - started;
    test.info().annotations.push({ type: 'first control', description: `after ${took} ms` });
    console.log(`first control after ${took} ms`);
    expect(took, 'milliseconds to the first control').toBeLessThan(15_000);
    await tree.activate();
    await tree.reads(page, 'No EHR is registered yet');
    await picture('01-empty');
  });

  await test.step('register', async () => {
    await tree.press(button('Register an EHR'));
    await tree.press({ role: 'radio button', name: 'Other' });
    await tree.type(entry('Name'), 'Window EHR');
    await tree.type(entry('FHIR base URL'), ehr.fhirBaseURL);
    await tree.type(entry('Client ID'), CLIENT_ID);
    await tree.press({ role: 'radio button', name: 'Confidential' });
    await tree.type({ role: 'password text', name: 'Client secret' }, CLIENT_SECRET);
    expect(await secretsInSight(), 'secrets in the tree').toEqual([]);
    await picture('02-form');
  });

  await test.step('save, and the test follows by itself', async () => {
    await tree.press(button('Save'));
    await tree.see({ role: 'heading', name: 'Window EHR' });
    await tree.reads(region('Test'), 'Every check that ran has passed.');
    await tree.reads(region('Configuration checks'), /Its SMART configuration is valid/);
    await tree.reads(region('Connection'), 'Not connected');
    await show('Test');
    await picture('03-saved');
  });

  await test.step('connect, through Chromium', async () => {
    await tree.press(button('Connect to Window EHR'));
    await tree.reads(region('Connection'), 'Waiting for you in the browser');
    await show('Connection');
    await picture('04-waiting');
    await systemBrowser.signIn({ user: 'sofia', patient: 'Luca Marchetti' });
    await tree.reads(region('Connection'), 'Connected to Window EHR');
    await tree.reads(region('Connection'), 'Patient/luca-marchetti');
    await tree.reads(region('Live connection checks'), /Passed/);
    await tree.reads(region('Test'), 'Every check that ran has passed.');
    await show('Connection');
    await picture('05-connected');
    await show('Test');
    await picture('05-tested');
  });

  await test.step('test again, read, and refresh', async () => {
    await tree.press(button('Test all'));
    await tree.reads(region('Test'), 'Every check that ran has passed.');
    await tree.press(button('Read'));
    await tree.reads(region('Explore'), '"resourceType": "Patient"');
    await show('Explore');
    await picture('06-read');
    await tree.press(button('Refresh'));
    await tree.reads(region('Connection'), /Refreshed/);
    expect(desk.secrets.inFiles(desk.kept), 'secrets in files, connected').toEqual([]);
    expect(await secretsInSight(), 'secrets in the tree').toEqual([]);
  });

  await test.step('the list, and the other places', async () => {
    await tree.press(button('Connections'));
    await tree.reads({ role: 'table', name: 'Connections' }, /Window EHR.*Connected.*Passed/);
    await picture('07-connections');
    await tree.press(button('Sandbox'));
    await tree.press(button('Start the sandbox'));
    await tree.see(button('Stop the sandbox'));
    await picture('08-sandbox');
    await tree.press(button('Settings'));
    await tree.reads(page, "The operating system's keyring");
    await tree.press({ role: 'radio button', name: 'Dark' });
    await until('Dark is chosen', async () => (await tree.find({ role: 'radio button', name: 'Dark' }))[0]?.checked);
    await picture('09-settings-dark');
    await tree.resize(880, 600);
    await tree.press(button('Connections'));
    await tree.press(button('Open Window EHR'));
    await tree.reads(region('Connection'), 'Connected');
    await picture('10-registration-dark-smallest');
  });

  await test.step('disconnect', async () => {
    await tree.press(button('Disconnect'));
    await tree.see(button('Disconnect now'));
    await picture('11-disconnect-dialog');
    await tree.press(button('Disconnect now'));
    await tree.reads(region('Connection'), 'Disconnected; the EHR was told.');
    await tree.reads(region('Connection'), 'Not connected');
    await picture('12-disconnected');
    expect(ehr.requests, 'what reached the EHR').toContain('POST /auth/revoke');
  });

  await test.step('no secret is in a file, in the tree, on the command line or in what was printed', async () => {
    for (const kind of ['client secret', 'state', 'code', 'code verifier', 'access token', 'refresh token', 'id token']) {
      expect(desk.secrets.names.filter((name) => name.startsWith(kind)), `a ${kind} that came by`).not.toEqual([]);
    }
    expect(await secretsInSight(), 'secrets in the tree').toEqual([]);
    expect(desk.secrets.in(window.commandLine), 'secrets on the command line').toEqual([]);
    await window.close();
    expect(desk.secrets.inFiles(desk.kept), 'secrets in files').toEqual([]);
  });
  await tree.close();
});
