from django.utils.translation import gettext as _

# xgettext:no-python-format
_('A pair is left out where a smaller share of its votes, 0 to 1, is for its verdict.')
# xgettext:no-python-format
_('A pair with a winner is left out where its strength, 0 to 3, is less.')
# xgettext:no-python-format
_('A pair with fewer votes is left out.')
# xgettext:no-python-format
_('AI judges only')
# xgettext:no-python-format
_('Accumulation')
# xgettext:no-python-format
_("AdamW's pull of the trained weights toward zero.")
# xgettext:no-python-format
_('Annotators who are right on a smaller share of the known answers, 0 to 1, do not count.')
# xgettext:no-python-format
_('At most so many pairs of one source, drawn by the seed; 0 means no limit.')
# xgettext:no-python-format
_('Batch size')
# xgettext:no-python-format
_('Beta')
# xgettext:no-python-format
_("CPU threads to use, at most the machine's cores; 0 leaves it to the machine's setting.")
# xgettext:no-python-format
_('Checkpoint every')
# xgettext:no-python-format
_('Count votes as well that have been withdrawn.')
# xgettext:no-python-format
_('Dawid–Skene (one coin)')
# xgettext:no-python-format
_("Decides the order of the pairs, the adapter's start and dropout. Same seed, data and machine: same model.")
# xgettext:no-python-format
_("Decides the order of the pairs, timesteps, noise and the adapter's start. Same seed, data and machine: same model.")
# xgettext:no-python-format
_('Device')
# xgettext:no-python-format
_('Diffusion-DPO of an image model (Wallace et al. 2023), errors averaged over elements.')
# xgettext:no-python-format
_('Direct preference optimisation of a causal language model (Rafailov et al. 2023).')
# xgettext:no-python-format
_('Draws the split, the sides of ties and the pairs that stay under a limit.')
# xgettext:no-python-format
_('Drop too long')
# xgettext:no-python-format
_('Dtype')
# xgettext:no-python-format
_('Epochs')
# xgettext:no-python-format
_('Eval every')
# xgettext:no-python-format
_('Expected share of wrong labels, from 0 to below 0.5. With sigmoid this is conservative DPO; ipo and hinge take none.')
# xgettext:no-python-format
_('Give each to a side drawn by the seed')
# xgettext:no-python-format
_('Gradient checkpointing')
# xgettext:no-python-format
_('Gradients longer than this are shortened to it; 0 leaves them as they are.')
# xgettext:no-python-format
_('How many optimiser steps to train.')
# xgettext:no-python-format
_('How many times the training pairs are gone through.')
# xgettext:no-python-format
_('How often two equally good answers are called a tie, above 0 and below 1: the width of the tie in rao_kupper and davidson.')
# xgettext:no-python-format
_('How pairs without a winner teach, where the dataset version keeps ties. rao_kupper and davidson (sigmoid loss only) give win, tie and loss each a probability, so a tie draws the two answers together; half takes a tie as half a win for each side, as the other losses always do.')
# xgettext:no-python-format
_('How strongly the model is held near the one it starts from. It multiplies squared errors averaged over all elements, so it is in the thousands: 2000 to 5000 is usual.')
# xgettext:no-python-format
_('How strongly the model is held near the one it starts from: smaller lets it move further. 0.01 to 0.5 is usual.')
# xgettext:no-python-format
_('How the learning rate falls after the warm-up: to zero in a line, along a cosine, or not.')
# xgettext:no-python-format
_('Keep them as ties')
# xgettext:no-python-format
_('Label smoothing')
# xgettext:no-python-format
_('Learning rate')
# xgettext:no-python-format
_('Leave ties out')
# xgettext:no-python-format
_('LoRA alpha')
# xgettext:no-python-format
_('LoRA dropout')
# xgettext:no-python-format
_('LoRA rank')
# xgettext:no-python-format
_('LoRA targets')
# xgettext:no-python-format
_('Loss type')
# xgettext:no-python-format
_('Majority')
# xgettext:no-python-format
_('Majority counts every vote alike; Dawid–Skene weighs annotators by how reliable they are.')
# xgettext:no-python-format
_('Max grad norm')
# xgettext:no-python-format
_('Max length')
# xgettext:no-python-format
_('Max steps')
# xgettext:no-python-format
_('Measure the test pairs every so many steps, besides at the end; 0 only at the end.')
# xgettext:no-python-format
_('Mirror both pictures of a pair left to right, half of the time.')
# xgettext:no-python-format
_('Names of annotators whose votes alone count; none chosen means all.')
# xgettext:no-python-format
_('Names of annotators whose votes do not count.')
# xgettext:no-python-format
_('Names of the layers that get an adapter, with commas between. Attention alone is to_q,to_k,to_v,to_out.0; with convolutions the model learns faster and forgets faster.')
# xgettext:no-python-format
_('Names of the layers that get an adapter, with commas between; all-linear takes every linear layer but the output head.')
# xgettext:no-python-format
_('No pair with an output of one of these models.')
# xgettext:no-python-format
_('None: a row for each vote')
# xgettext:no-python-format
_('Number format of the frozen weights. auto: bfloat16 on a GPU, float32 on a CPU. What is trained is always float32.')
# xgettext:no-python-format
_('Only pairs whose outputs are both by these models; none chosen means all.')
# xgettext:no-python-format
_('Only prompts of these categories; none chosen means all.')
# xgettext:no-python-format
_('Pairs in one pass through the model. Memory grows with it.')
# xgettext:no-python-format
_('Passes gathered into one optimiser step: batch_size x accumulation pairs a step.')
# xgettext:no-python-format
_('People and AI judges together')
# xgettext:no-python-format
_('People only')
# xgettext:no-python-format
_("Pictures are resized (short side) and cropped to so many pixels square; 0 takes the model's own size.")
# xgettext:no-python-format
_("Prepare so many (timestep, noise) draws a pair and compute the frozen model's errors for them once. 0 makes a new draw at every step and asks the frozen model each time.")
# xgettext:no-python-format
_('Prompts that say nearly the same share a part, and pairs whose prompt is nearly a held-out one are left out.')
# xgettext:no-python-format
_('Proportion empty prompts')
# xgettext:no-python-format
_('Random flip')
# xgettext:no-python-format
_('Rank of the low-rank adapter that is trained.')
# xgettext:no-python-format
_('Rank of the low-rank adapter that is trained; 0 trains all weights instead (much more memory, and a much smaller learning rate).')
# xgettext:no-python-format
_('Reference draws')
# xgettext:no-python-format
_('Resolution')
# xgettext:no-python-format
_('Save a point to resume from every so many steps.')
# xgettext:no-python-format
_('Save memory by computing the forward pass twice; about 30 % slower.')
# xgettext:no-python-format
_('Scale of the adapter: its effect is multiplied by lora_alpha / lora_rank.')
# xgettext:no-python-format
_('Scheduler')
# xgettext:no-python-format
_('Seed')
# xgettext:no-python-format
_('Share of adapter inputs set to zero while training, 0 to below 1.')
# xgettext:no-python-format
_('Share of all steps in which the learning rate rises from zero to its peak.')
# xgettext:no-python-format
_('Share of prompts, 0 to 0.9, whose rows are kept for testing; no prompt is in both parts.')
# xgettext:no-python-format
_('Share of training prompts replaced by the empty one, so that guidance keeps working.')
# xgettext:no-python-format
_('Stop after so many optimiser steps, whatever the epochs say; 0 lets the epochs decide.')
# xgettext:no-python-format
_('That rule looks only at annotators who have judged so many pairs with a known answer.')
# xgettext:no-python-format
_('The first day (UTC) whose votes count, as 2031-05-17.')
# xgettext:no-python-format
_('The form of the loss. sigmoid is DPO as published; ipo (summed log-probabilities) pulls the margin to a fixed target and overfits less; hinge stops pushing once the margin is reached; robust corrects for a known share of wrong labels, given as label_smoothing.')
# xgettext:no-python-format
_('The last day (UTC) whose votes count.')
# xgettext:no-python-format
_("The longest prompt and answer together, in tokens. Longer answers are cut at their end, and the run's log counts them. Never more than the model's own context.")
# xgettext:no-python-format
_('The peak learning rate. An adapter on a small model: 1e-4. Stable Diffusion: 1e-5. With too much of it pictures get worse, and guidance can turn what was learnt into its opposite: if reward_chosen falls far below zero, lower it. It goes with 1 / beta. AdamW moves every weight by about this much a step, so it is never above 1.')
# xgettext:no-python-format
_('The peak learning rate. LoRA: 1e-5 to 1e-4. All weights (lora_rank 0): 5e-7 to 5e-6. AdamW moves every weight by about this much a step, so it is never above 1.')
# xgettext:no-python-format
_('The withdrawals whose votes do not count; all of the project unless it says which.')
# xgettext:no-python-format
_('Threads')
# xgettext:no-python-format
_('Tie share')
# xgettext:no-python-format
_('Ties')
# xgettext:no-python-format
_('Twice with half the weight, once for each side')
# xgettext:no-python-format
_('Votes given in fewer seconds do not count; those whose time nobody measured do.')
# xgettext:no-python-format
_('Warmup ratio')
# xgettext:no-python-format
_('Weight decay')
# xgettext:no-python-format
_('What a source is.')
# xgettext:no-python-format
_('What becomes of pairs whose verdict is a tie.')
# xgettext:no-python-format
_('What to do with pairs whose prompt alone fills max_length: off refuses the run and names them, on leaves them out and counts them.')
# xgettext:no-python-format
_('Where to run; auto takes a GPU if there is one.')
# xgettext:no-python-format
_('Whose votes count. People and AI judges are only mixed if you say so.')
