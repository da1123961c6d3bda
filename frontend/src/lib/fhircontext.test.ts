import { expect, it } from 'vitest';
import { parseFHIRContext } from './fhircontext';

it.each([
  ['', []],
  [' \n\n', []],
  ['ImagingStudy/7', [{ reference: 'ImagingStudy/7' }]],
  ['https://ehr.example/fhir/Task/1', [{ reference: 'https://ehr.example/fhir/Task/1' }]],
  ['https://forms.example/intake|2 https://roles.example/fill', [{ canonical: 'https://forms.example/intake|2', role: 'https://roles.example/fill' }]],
  ['urn:oid:1.2.3', [{ canonical: 'urn:oid:1.2.3' }]],
  ['Task/1\r\nTask/2 launch', [{ reference: 'Task/1' }, { reference: 'Task/2', role: 'launch' }]],
])('reads %j', (text, items) => {
  expect(parseFHIRContext(text)).toEqual(items);
});
