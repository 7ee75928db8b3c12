import { defineDialect } from "../dialect.ts";
import { createSgd, sgd } from "./sgd.ts";

/**
 * In Keras the momentum buffer holds steps, which include the learning rate. So a schedule acts on
 * new gradients only, not on what is already in the buffer.
 */
export const keras_sgd = defineDialect("keras", sgd, {
  source: "Sutskever et al. 2013; keras.optimizers.SGD",
  formula: "m = momentum·m − learning_rate·g; x += m (momentum·m − learning_rate·g with nesterov)",
  names: { lr: "learning_rate" },
  defaults: { lr: 0.01 },
  fixed: { dampening: 0, weight_decay: 0, maximize: false },
  create: (kernels, options) => createSgd(kernels, options, true),
});
