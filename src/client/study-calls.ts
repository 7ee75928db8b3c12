/** The client's methods for studies. */
import type { z } from "zod";
import type { Page } from "../contract/wire/common.ts";
import type { Importance, Study, StudyEvent, StudyRequest, Trial } from "../contract/wire/study.ts";
import { keyOf, type Idempotent } from "./again.ts";
import { path } from "./calls.ts";
import type { PageQuery } from "./inputs.ts";
import { SetCalls } from "./set-calls.ts";

/** A study as a client may write it: whatever has a default may be left out. */
export type StudyInput = z.input<typeof StudyRequest>;

export class StudyCalls extends SetCalls {
  createStudy(study: StudyInput, options: Idempotent = {}): Promise<Study> {
    return this.send("/v1/studies", study, { headers: keyOf(options), again: true });
  }

  listStudies(query: PageQuery = {}): Promise<Page<Study>> {
    return this.json("GET", "/v1/studies", { query: { ...query } });
  }

  getStudy(id: string): Promise<Study> {
    return this.json("GET", path`/v1/studies/${id}`);
  }

  /** In the order of their numbers. */
  listTrials(id: string, query: PageQuery = {}): Promise<Page<Trial>> {
    return this.json("GET", path`/v1/studies/${id}/trials`, { query: { ...query } });
  }

  /** Lets a study that has ended go on to so many trials in all. */
  extendStudy(id: string, total: number): Promise<Study> {
    return this.send(path`/v1/studies/${id}/trials`, { total }, { again: true });
  }

  /** How much each parameter matters. */
  getImportance(id: string): Promise<Importance> {
    return this.json("GET", path`/v1/studies/${id}/importance`);
  }

  listStudyEvents(id: string, query: PageQuery = {}): Promise<Page<StudyEvent>> {
    return this.json("GET", path`/v1/studies/${id}/events`, { query: { ...query } });
  }

  cancelStudy(id: string): Promise<Study> {
    return this.json("POST", path`/v1/studies/${id}/cancel`);
  }

  pauseStudy(id: string): Promise<Study> {
    return this.json("POST", path`/v1/studies/${id}/pause`);
  }

  resumeStudy(id: string): Promise<Study> {
    return this.json("POST", path`/v1/studies/${id}/resume`);
  }

  async deleteStudy(id: string): Promise<void> {
    await this.call("DELETE", path`/v1/studies/${id}`);
  }
}
