"""Pipelines: layers of models that propose, criticise, rank, check and fuse answers, and act as
one model. A pipeline writes as any model does (:mod:`steelyard.inference.loading`) and judges as an
endpoint does (:mod:`steelyard.inference.pipelines.calling`)."""
