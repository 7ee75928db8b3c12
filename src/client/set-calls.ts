/** The client's methods for the models of a set. */
import type { Page } from "../contract/wire/common.ts";
import type { SetModel, SetModelDetails } from "../contract/wire/model-set.ts";
import type { ModelDescription } from "../contract/wire/model.ts";
import { Calls, path } from "./calls.ts";
import type { PageQuery } from "./inputs.ts";

export class SetCalls extends Calls {
  listSetModels(
    id: string,
    query: PageQuery & { sort?: string; status?: SetModel["status"] } = {},
  ): Promise<Page<SetModel>> {
    return this.json("GET", path`/v1/jobs/${id}/models`, { query: { ...query } });
  }

  /** How to use the pooled model. */
  getPooledModel(id: string): Promise<ModelDescription> {
    return this.json("GET", path`/v1/jobs/${id}/models/pooled`);
  }

  /** A safetensors file of the weights of the pooled model. */
  getPooledModelWeights(id: string, { which = "final" }: { which?: "final" | "best" } = {}): Promise<Uint8Array> {
    return this.bytes(path`/v1/jobs/${id}/models/pooled/model`, { which });
  }

  /** `number`: the model's place in the set. */
  getSetModel(id: string, number: number): Promise<SetModelDetails> {
    return this.json("GET", path`/v1/jobs/${id}/models/${number}`);
  }

  /** A safetensors file of the weights of one model. */
  getSetModelWeights(
    id: string,
    number: number,
    { which = "final" }: { which?: "final" | "best" } = {},
  ): Promise<Uint8Array> {
    return this.bytes(path`/v1/jobs/${id}/models/${number}/model`, { which });
  }
}
